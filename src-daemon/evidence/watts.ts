import { commandRunner } from "../children/run-command.ts";
import { linuxWatts, nvidiaWatts, type Watts } from "./watts-linux.ts";

export type { Watts };

/** What this computer draws now, or why that is not known. */
export async function computerWatts(): Promise<Watts> {
  if (process.platform !== "linux")
    return { why: "this system tells it to no program without the administrator's rights" };
  return linuxWatts("/sys/class", undefined, () => nvidiaWatts(commandRunner()));
}
