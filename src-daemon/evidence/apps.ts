import { readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { RunCommand } from "../children/run-command.ts";

/** `steam` also means `Steam.exe` and `/usr/bin/steam`. */
export function sameProgram(wanted: string, found: string): boolean {
  const plain = (name: string): string =>
    (name.split(/[\\/]/).at(-1) ?? name).toLowerCase().replace(/\.(exe|app)$/, "");
  return plain(wanted) === plain(found);
}

export function namesRunning(wanted: readonly string[], running: readonly string[]): string[] {
  return wanted.filter((name) => running.some((found) => sameProgram(name, found)));
}

/** By the name of each process, of its program, and of what a launcher was told to start. */
export async function linuxPrograms(proc: string): Promise<string[] | null> {
  let ids: string[];
  try {
    ids = (await readdir(proc)).filter((name) => /^\d+$/.test(name));
  } catch {
    return null;
  }
  const found = new Set<string>();
  for (const id of ids) {
    const [comm, exe, line] = await Promise.all([
      readFile(join(proc, id, "comm"), "utf8").catch(() => ""),
      readlink(join(proc, id, "exe")).catch(() => ""),
      readFile(join(proc, id, "cmdline"), "utf8").catch(() => ""),
    ]);
    // Windows programs under Wine and Proton are named in the command line alone.
    for (const name of [comm.trim(), basename(exe), line.split("\0")[0] ?? ""])
      if (name !== "") found.add(name);
  }
  return [...found];
}

/** Lines of `ps -A -o comm=`. */
export async function macosPrograms(run: RunCommand): Promise<string[] | null> {
  const output = await run("/bin/ps", ["-A", "-o", "comm="]);
  return output === null ? null : output.split("\n").map((line) => line.trim());
}

/** `"steam.exe","1234",…` of `tasklist`. */
export async function windowsPrograms(run: RunCommand): Promise<string[] | null> {
  const output = await run("tasklist.exe", ["/fo", "csv", "/nh"]);
  if (output === null) return null;
  return output.split("\n").flatMap((line) => /^"([^"]+)"/.exec(line)?.[1] ?? []);
}
