import { z } from "zod";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** `<data folder>/processes.json`: the processes that run now, for the demo, tests and a curious owner. */
export const processList = z.strictObject({
  daemon: z.int().positive(),
  orchestrator: z.int().positive().nullable(),
  workers: z.array(z.strictObject({ name: z.string(), pid: z.int().positive() })),
});
export type ProcessList = z.infer<typeof processList>;

export function writeProcessList(path: string, list: ProcessList): void {
  try {
    writePrivateFile(path, JSON.stringify(list));
  } catch {
    // A picture for the curious is no reason to stop when the disk is full.
  }
}
