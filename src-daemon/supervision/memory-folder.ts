import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  statfsSync,
} from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { z } from "zod";
import { withLock } from "../data-folder/lock.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";
import { livingProcess, processHere } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/** Of `statfs` on Linux: such a file system lies in memory (linux/magic.h). */
const TMPFS = 0x01021994;
/** Whoever works writes many times a minute, and who stops in order removes what it has. */
const LEFT_BEHIND_MS = 86_400_000;
/** Who holds the lock makes or removes some folders, which takes a moment. */
const LOCK_WAIT_MS = 2_000;
const LOCK = "lock.db";
const NAME = /^([0-9a-f]{16})(\.json)?$/;

interface Shared {
  /** Where all programs may put such files. */
  readonly place: string;
  readonly uid: number;
  /** Milliseconds of the wall clock. */
  readonly now: number;
  readonly self: ProcessIdentity;
  /** Null: it cannot be told from here. */
  readonly isAlive: (process: ProcessIdentity) => boolean | null;
  readonly lockWaitMs: number;
}

/** Beside a folder, where its worker does not reach: whose it is. */
const note = z.strictObject({
  folder: z.string(),
  pid: z.int().positive(),
  begun: z.string(),
  seenFrom: z.string(),
});
type Note = z.infer<typeof note>;

/**
 * A folder for the worker of `folder`, in a file system that lies in memory: what it writes there outlives it and
 * the daemon, and wears no disk. Null: this system has none (only Linux has), or it cannot be trusted.
 * What was left there of a data folder that is gone is removed, and of one to which nobody came back for a day.
 */
export function memoryFolder(folder: string, shared: Shared | null = ofThisSystem()): string | null {
  if (shared === null) return null;
  const { place, uid, self, lockWaitMs } = shared;
  const own = join(place, `train-at-home-${uid}`);
  try {
    if (statfsSync(place).type !== TMPFS) return null;
    mkdirSync(own, { mode: 0o700, recursive: true });
    // SECURITY: everybody may make a folder there, or a link, under any name: also under this one, and before us.
    const found = lstatSync(own);
    if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) return null;
    const name = createHash("sha256").update(folder).digest("hex").slice(0, 16);
    // Without the lock another daemon could remove what it has just found to be nobody's, and is ours since.
    return withLock(join(own, LOCK), lockWaitMs, () => {
      for (const other of namesIn(own)) if (other !== name) removeLeft(own, other, shared);
      writePrivateFile(join(own, `${name}.json`), JSON.stringify({ folder, ...self } satisfies Note));
      mkdirSync(join(own, name), { mode: 0o700, recursive: true });
      return join(own, name);
    });
  } catch {
    return null;
  }
}

/**
 * The same for all workers of one daemon, the first of which has `folder`: the files by which they send to each other
 * have names there until both sides have them open, so what is found there is left over.
 */
export function laneFolder(folder: string, shared: Shared | null = ofThisSystem()): string | null {
  const path = memoryFolder(join(folder, "lanes"), shared);
  if (path !== null) clear(path);
  return path;
}

/** All workers have ended. */
export function leaveLaneFolder(path: string): void {
  clear(path);
  leaveMemoryFolder(path);
}

function clear(path: string): void {
  for (const name of existsSync(path) ? readdirSync(path) : [])
    rmSync(join(path, name), { recursive: true, force: true });
}

/** Its worker has ended: an empty folder goes at once. What one that was killed has there waits for the next. */
export function leaveMemoryFolder(path: string): void {
  const own = dirname(path);
  try {
    withLock(join(own, LOCK), LOCK_WAIT_MS, () => {
      rmdirSync(path);
      rmSync(join(own, `${basename(path)}.json`), { force: true });
    });
  } catch {
    // There is something in it, or somebody has removed it.
  }
}

/** Whatever workers of data folders in `folder` have there: they have ended, and nobody comes back for it. */
export function removeMemoryOf(folder: string, shared: Shared | null = ofThisSystem()): void {
  for (const path of memoryOf(folder, shared).keys()) {
    rmSync(path, { recursive: true, force: true });
    rmSync(`${path}.json`, { force: true });
  }
}

/** Folders in memory, each with the one in `folder` that it is of. */
export function memoryOf(
  folder: string,
  shared: Shared | null = ofThisSystem(),
): ReadonlyMap<string, string> {
  if (shared === null) return new Map();
  const own = join(shared.place, `train-at-home-${shared.uid}`);
  return new Map(
    [...(existsSync(own) ? namesIn(own) : [])].flatMap((name) => {
      const path = join(own, name);
      const of = ownerOf(`${path}.json`)?.folder;
      return of?.startsWith(join(folder, sep)) === true ? [[path, of]] : [];
    }),
  );
}

function ofThisSystem(): Shared | null {
  const uid = process.platform === "linux" ? process.getuid?.() : undefined;
  const self = uid === undefined ? null : processHere();
  if (uid === undefined || self === null) return null;
  return {
    place: "/dev/shm",
    uid,
    now: Date.now(),
    self,
    isAlive: livingProcess,
    lockWaitMs: LOCK_WAIT_MS,
  };
}

function namesIn(own: string): Set<string> {
  return new Set(readdirSync(own).flatMap((name) => NAME.exec(name)?.[1] ?? []));
}

/**
 * Removes what is nobody's. A data folder on a disk that was taken out counts as gone, for it cannot be told from a
 * deleted one: its worker goes on from what the disk has.
 */
function removeLeft(own: string, name: string, { now, isAlive }: Shared): void {
  const path = join(own, name);
  try {
    const owner = ownerOf(`${path}.json`);
    const lives = owner === null ? null : isAlive(owner);
    if (lives === true) return;
    const isGone = owner !== null && lives === false && !existsSync(owner.folder);
    if (!isGone && newestIn(path) >= now - LEFT_BEHIND_MS) return;
    rmSync(path, { recursive: true, force: true });
    rmSync(`${path}.json`, { force: true });
  } catch {
    // Another one's fault takes nothing from ours.
  }
}

/** Null: it says nothing, as one of an older version. */
function ownerOf(path: string): Note | null {
  try {
    return note.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}

/** When anything in a folder was last written, in milliseconds. */
function newestIn(folder: string): number {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return Math.max(lstatSync(folder).mtimeMs, ...names.map((name) => lstatSync(join(folder, name)).mtimeMs));
}
