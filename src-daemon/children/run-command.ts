import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Standard output, or null for anything odd: not installed, failed, too slow, too much output. */
export type RunCommand = (command: string, args: readonly string[]) => Promise<string | null>;

const TIMEOUT_MS = 2000;
const MOST_BYTES = 256 * 1024;

/** No shell; and the plain locale, because the output is parsed. */
export function commandRunner(timeoutMs: number = TIMEOUT_MS): RunCommand {
  return (command, args) =>
    new Promise((resolve) => {
      if (args.includes("--session") && !hasSessionBus(process.env)) return resolve(null);
      const options = {
        timeout: timeoutMs,
        killSignal: "SIGKILL",
        maxBuffer: MOST_BYTES,
        windowsHide: true,
        env: { ...process.env, LC_ALL: "C" },
      } as const;
      const child = execFile(command, args, options, (error, stdout) =>
        resolve(error === null ? stdout : null),
      );
      child.stdin?.end();
    });
}

/** Whether a desktop's message bus is there: without one its tools would start one, and leave folders behind. */
export function hasSessionBus(env: NodeJS.ProcessEnv): boolean {
  const { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: folder } = env;
  if (address !== undefined && address !== "") return true;
  return folder !== undefined && folder !== "" && existsSync(join(folder, "bus"));
}
