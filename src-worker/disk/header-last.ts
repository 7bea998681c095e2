import { closeSync, openSync, writeSync, writevSync } from "node:fs";

/** Stands in the header's place while a file is being written: a kill may come at any time. */
const UNFINISHED = "unfinished";
const NEW_FILE_MODE = 0o600;
const PIECE_BYTES = 4 * 1024 * 1024;

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
    writeUnfinished(file, header);
    if (payload.length > 0) writeAll(file, payload, header.byteLength);
    writeSync(file, header, 0, header.byteLength, 0);
  } finally {
    closeSync(file);
  }
}

/** The same where the payload may be large: heartbeats and tensors go on between its pieces. */
export async function writeHeaderLastInPieces(
  { path, header }: FileHead,
  payload: readonly Uint8Array[],
): Promise<void> {
  const file = opened(path);
  try {
    writeUnfinished(file, header);
    let position = header.byteLength;
    for (const part of payload)
      for (let at = 0; at < part.byteLength; at += PIECE_BYTES) {
        const piece = part.subarray(at, at + PIECE_BYTES);
        if (position > header.byteLength) await new Promise(setImmediate);
        writeAll(file, [piece], position);
        position += piece.byteLength;
      }
    writeSync(file, header, 0, header.byteLength, 0);
  } finally {
    closeSync(file);
  }
}

function writeUnfinished(file: number, { byteLength }: Uint8Array): void {
  const unfinished = new Uint8Array(byteLength);
  new TextEncoder().encodeInto(UNFINISHED, unfinished);
  writeSync(file, unfinished, 0, byteLength, 0);
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

/** A header of so many bytes, as JSON with zeros behind it. @throws RangeError where it is longer */
export function headerBlock(head: unknown, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  const text = JSON.stringify(head);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  if (read !== text.length) throw new RangeError("the header is too long");
  return bytes;
}

/** What `headerBlock` was given, not checked. @throws SyntaxError where the file is not whole */
export function headerIn(block: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(block).replace(/\0+$/, ""));
}

/** The same memory. */
export function bytesOf({
  buffer,
  byteOffset,
  byteLength,
}: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
