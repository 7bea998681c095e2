import { execFile } from "node:child_process";

/** Standard output, or null for anything odd: not installed, failed, too slow, too much output. */
export type RunCommand = (command: string, args: readonly string[]) => Promise<string | null>;

const TIMEOUT_MS = 2000;
const MOST_BYTES = 256 * 1024;

/** No shell; and the plain locale, because the output is parsed. */
export function commandRunner(timeoutMs: number = TIMEOUT_MS): RunCommand {
  return (command, args) =>
    new Promise((resolve) => {
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
