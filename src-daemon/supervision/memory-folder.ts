import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";

/** Of `statfs` on Linux: such a file system lies in memory (linux/magic.h). */
const TMPFS = 0x01021994;
/** Whoever works writes many times a minute, and who stops in order removes what it has. */
const LEFT_BEHIND_MS = 86_400_000;

interface Shared {
  /** Where all programs may put such files. */
  readonly place: string;
  readonly uid: number;
  /** Milliseconds of the wall clock. */
  readonly now: number;
}

/**
 * A folder for the worker of `folder`, in a file system that lies in memory: what it writes there outlives it and
 * the daemon, and wears no disk. Null: this system has none (only Linux has), or it cannot be trusted.
 * What was left there by a data folder to which nobody came back for a day is removed.
 */
export function memoryFolder(folder: string, shared: Shared | null = ofThisSystem()): string | null {
  if (shared === null) return null;
  const { place, uid, now } = shared;
  const own = join(place, `train-at-home-${uid}`);
  try {
    if (statfsSync(place).type !== TMPFS) return null;
    mkdirSync(own, { mode: 0o700, recursive: true });
    // SECURITY: everybody may make a folder there, or a link, under any name: also under this one, and before us.
    const found = lstatSync(own);
    if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) return null;
    const name = createHash("sha256").update(folder).digest("hex").slice(0, 16);
    for (const other of readdirSync(own)) {
      const path = join(own, other);
      if (other !== name && newestIn(path) < now - LEFT_BEHIND_MS)
        rmSync(path, { recursive: true, force: true });
    }
    mkdirSync(join(own, name), { mode: 0o700, recursive: true });
    return join(own, name);
  } catch {
    return null;
  }
}

function ofThisSystem(): Shared | null {
  const uid = process.platform === "linux" ? process.getuid?.() : undefined;
  return uid === undefined ? null : { place: "/dev/shm", uid, now: Date.now() };
}

/** When anything in a folder was last written, in milliseconds. */
function newestIn(folder: string): number {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return Math.max(lstatSync(folder).mtimeMs, ...names.map((name) => lstatSync(join(folder, name)).mtimeMs));
}
