import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { IdleReading } from "./probe.ts";

/** Virtual consoles and pseudo-terminals; /dev/tty and /dev/tty0 only stand for others. */
const TERMINALS = [
  { folder: ".", name: /^tty[1-9]\d?$/ },
  { folder: "pts", name: /^\d+$/ },
] as const;

/**
 * Seconds since somebody last typed in a terminal, an ssh session's too. The kernel sets a
 * terminal's access time when input is read (to 8 s, against spying on keystrokes); output only
 * sets its modification time, so our own lines never count as use.
 */
export async function terminalIdle(deviceFolder: string, now: number): Promise<IdleReading> {
  const times: number[] = [];
  for (const { folder, name } of TERMINALS) {
    const path = join(deviceFolder, folder);
    for (const entry of await list(path)) {
      if (!name.test(entry)) continue;
      try {
        times.push((await stat(join(path, entry))).atimeMs);
      } catch {
        // It was closed in between.
      }
    }
  }
  return times.length === 0 ? null : Math.max(0, (now - Math.max(...times)) / 1000);
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}
