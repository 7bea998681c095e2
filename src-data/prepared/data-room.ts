import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { size } from "../../src-protocol/amounts.ts";
import { Failure } from "../../src-protocol/failure.ts";

/** So much of a disk is left to everything else. */
export const RESERVED_BYTES = 512 * 1024 * 1024;

/** Bytes that may still be written beside `path`, by what the disk says of itself. */
export function roomAt(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return Math.max(0, bavail * bsize - RESERVED_BYTES);
}

/** @throws Failure `disk-too-small` before anything is written */
export function mustHaveRoom(path: string, neededBytes: number, room = roomAt(path)): void {
  if (neededBytes <= room) return;
  throw new Failure(
    "disk-too-small",
    `The data takes at least ${size(neededBytes)} as tokens in ${dirname(path)}, where ${size(room)} may be used (${size(RESERVED_BYTES)} are left free). Free some room, name another data folder with TAH_HOME, or choose less with --data.`,
  );
}

/** What a disk that is full, or nearly, says. What is written already is kept. */
export function diskFull(path: string, cause?: unknown): Failure {
  return new Failure(
    "disk-full",
    `The disk of ${dirname(path)} is full. What was read until now is kept: free some room and start again, and it goes on from there.`,
    { cause },
  );
}

/** The clear sentence for what writing at `path` threw. */
export function writeFailure(error: unknown, path: string): unknown {
  if (error instanceof Failure || !(error instanceof Error) || !("code" in error)) return error;
  switch (error.code) {
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return diskFull(path, error);
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new Failure(
        "data-folder-read-only",
        `${path} may not be written. Give the folder its write permission, or name another data folder with TAH_HOME.`,
        { cause: error },
      );
    default:
      return error;
  }
}
