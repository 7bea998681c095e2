import { closeSync, openSync, writeSync, writevSync } from "node:fs";

/** Stands in the header's place while a file is being written: a kill may come at any time. */
const UNFINISHED = "unfinished";
const NEW_FILE_MODE = 0o600;

/** A file to be written, but for its payload. */
export interface FileHead {
  readonly path: string;
  /** Its first bytes, which say that the payload behind them is whole. */
  readonly header: Uint8Array;
}

/**
 * Writes a file, or over it, with its header last. Blocks: it is for files in a file system that lies in memory,
 * where a write is a copy.
 *
 * @throws what `node:fs` throws
 */
export function writeHeaderLast({ path, header }: FileHead, payload: readonly Uint8Array[]): void {
  const file = opened(path);
  try {
    const unfinished = new Uint8Array(header.byteLength);
    new TextEncoder().encodeInto(UNFINISHED, unfinished);
    writeSync(file, unfinished, 0, unfinished.byteLength, 0);
    if (payload.length > 0) writeAll(file, payload, header.byteLength);
    writeSync(file, header, 0, header.byteLength, 0);
  } finally {
    closeSync(file);
  }
}

function opened(path: string): number {
  try {
    return openSync(path, "r+");
  } catch {
    return openSync(path, "w", NEW_FILE_MODE);
  }
}

/** A file system that is nearly full may write less than it was given. */
function writeAll(file: number, payload: readonly Uint8Array[], position: number): void {
  const bytes = payload.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (writevSync(file, payload, position) < bytes)
    throw new RangeError("the file system took a part of the file only");
}
