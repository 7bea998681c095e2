import { access, mkdir, rename, rm, stat, utimes } from "node:fs/promises";
import { dirname } from "node:path";

/** File systems and clocks differ by less. */
const CLOCK_STEP_MS = 5_000;

/**
 * How long ago a file was written by its date. The clock may have been set back since: then nobody
 * knows, and any time may have passed.
 */
export function ageMs(mtimeMs: number): number {
  const age = Date.now() - mtimeMs;
  return age < -CLOCK_STEP_MS ? Infinity : Math.max(0, age);
}

/** Whole or not at all. `before` it takes its place. */
export async function copyWithDate(
  from: string,
  to: string,
  copy: (from: string, to: string) => Promise<void>,
  before?: () => Promise<void>,
): Promise<void> {
  const temporary = `${to}.writing`;
  try {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await copy(from, temporary);
    const { atime, mtime } = await stat(from);
    await utimes(temporary, atime, mtime);
    await before?.();
    await rename(temporary, to);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

export async function unusedName(wanted: string): Promise<string> {
  for (let i = 1; ; i++) {
    const name = i === 1 ? wanted : `${wanted}-${i}`;
    if (!(await exists(name))) return name;
  }
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
