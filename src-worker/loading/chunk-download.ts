import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { chunksDigest } from "../../src-protocol/chunks.ts";
import type { ChunkList } from "../../src-protocol/chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { diskFailure } from "../disk/disk-failure.ts";
import { persistently } from "./persistently.ts";

/** A chunk that comes wrong so often does not come right. */
const WRONG_CHUNKS = 3;

/** Where chunks come from: the orchestrator's store, or a peer that has the file. */
export interface ChunkSource {
  chunks(digest: string, signal?: AbortSignal): Promise<ChunkList>;
  /** The bytes from `from` up to, not including, `to`. Unverified. */
  range(digest: string, from: number, to: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface Download {
  readonly digest: string;
  /** Where it shall lie; until it is whole it lies beside that, as `.part`. */
  readonly path: string;
  /** Refused before anything is asked for when the file is larger. */
  readonly mostBytes: number;
  readonly source: ChunkSource;
  readonly signal: AbortSignal | undefined;
  /** Bytes that are here; of the chunk that is under way unverified. */
  readonly onProgress: (bytes: number, ofBytes: number) => void;
  /** Milliseconds, of a clock that never jumps. */
  readonly now?: () => number;
}

/**
 * Brings a file in verified chunks. What an earlier attempt left is hashed and kept where it is
 * right, whatever ended that attempt; so there is no journal that could be wrong. There is no time
 * limit but for silence. Rejects with `blob-unavailable`, `blob-refused`, `blob-too-large`,
 * `blob-corrupt` or a disk Failure.
 */
export async function downloadFile(download: Download): Promise<void> {
  const { digest, path, mostBytes, source, signal } = download;
  const list = await persistently(download, () => source.chunks(digest, signal));
  if (list.bytes > mostBytes) {
    throw new Failure(
      "blob-too-large",
      `Blob ${digest} has ${list.bytes} bytes and not at most ${mostBytes} as it should. It was not taken.`,
    );
  }
  const part = `${path}.part`;
  const file = await openPart(part, list.bytes);
  let whole = false;
  try {
    const all = list.sha256.map((_, index) => index);
    const transfer = { missing: await missingChunks(file, list, all, download), begun: null };
    await persistently(download, (progressed) =>
      takeMissing(file, list, transfer, list.bytes, download, progressed),
    );
    whole = (await digestOfFile(file, list.bytes)) === digest;
    if (whole) await file.sync();
  } catch (error) {
    throw error instanceof Failure ? error : diskFailure(error, part);
  } finally {
    await file.close();
  }
  if (!whole) {
    // Every chunk was as the list says, so the list itself is of another file.
    await rm(part, { force: true });
    throw corrupt(digest);
  }
  await rename(part, path).catch((error: unknown) => {
    throw diskFailure(error, path);
  });
}

async function openPart(path: string, bytes: number): Promise<FileHandle> {
  try {
    const file = await open(path, "a+", 0o600).then(async (made) => {
      await made.close();
      return await open(path, "r+");
    });
    const { size } = await file.stat();
    if (size > bytes) await file.truncate(bytes);
    return file;
  } catch (error) {
    throw diskFailure(error, path);
  }
}

/** A part of a file: the bytes `from` up to, not including, `to`. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

export interface PartialDownload extends Omit<Download, "mostBytes"> {
  /** What the file's chunks are known by: `chunksDigest`. */
  readonly chunksSha256: string;
  readonly bytes: number;
  readonly ranges: readonly ByteRange[];
}

/**
 * Brings the chunks of a file that some ranges lie in; the rest of it stays a hole. Each chunk is
 * checked, and their list by its own digest, so that nothing has to be trusted for what is missing.
 * `path` has the file's whole length. Gives the places of the chunks that are there now. Rejects as `downloadFile`.
 */
export async function downloadParts(download: PartialDownload): Promise<ByteRange[]> {
  const { digest, path, bytes, chunksSha256, source, signal, ranges } = download;
  const list = await persistently(download, () => source.chunks(digest, signal));
  if (list.bytes !== bytes || chunksDigest(list.sha256) !== chunksSha256) throw corrupt(digest);
  const wanted = chunksIn(list, ranges);
  const total = wanted.reduce((sum, index) => sum + lengthOf(list, index), 0);
  const file = await openPart(path, bytes);
  try {
    await file.truncate(bytes);
    const transfer = { missing: await missingChunks(file, list, wanted, download), begun: null };
    await persistently(download, (progressed) =>
      takeMissing(file, list, transfer, total, download, progressed),
    );
    await file.sync();
    return wanted.map((index) => placeOf(list, index));
  } catch (error) {
    throw error instanceof Failure ? error : diskFailure(error, path);
  } finally {
    await file.close();
  }
}

/** In order. */
function chunksIn({ chunkBytes, bytes }: ChunkList, ranges: readonly ByteRange[]): number[] {
  const found = new Set<number>();
  for (const { from, to } of ranges)
    for (let index = Math.floor(from / chunkBytes); index * chunkBytes < Math.min(to, bytes); index++)
      found.add(index);
  return [...found].sort((a, b) => a - b);
}

/** Of the chunks `wanted`, those that are not here, in order. */
async function missingChunks(
  file: FileHandle,
  list: ChunkList,
  wanted: readonly number[],
  { onProgress, signal }: Pick<Download, "onProgress" | "signal">,
): Promise<Set<number>> {
  const missing = new Set<number>();
  const { size } = await file.stat();
  const buffer = Buffer.alloc(Math.min(list.chunkBytes, list.bytes));
  let here = 0;
  let total = 0;
  for (const index of wanted) {
    const sha256 = list.sha256[index];
    signal?.throwIfAborted();
    const { from, to } = placeOf(list, index);
    total += to - from;
    const piece = buffer.subarray(0, to - from);
    const { bytesRead } = from >= size ? { bytesRead: 0 } : await file.read(piece, 0, piece.byteLength, from);
    if (bytesRead === piece.byteLength && hashOf(piece) === sha256) here += bytesRead;
    else missing.add(index);
  }
  onProgress(here, total);
  return missing;
}

/** The part of a chunk that has come before a source broke off: it is not asked for again. */
interface Begun {
  readonly index: number;
  readonly buffer: Buffer;
  filled: number;
}

async function takeMissing(
  file: FileHandle,
  list: ChunkList,
  transfer: { readonly missing: Set<number>; begun: Begun | null },
  /** Bytes of all chunks that are wanted. */
  total: number,
  { digest, source, signal, onProgress }: Pick<Download, "digest" | "source" | "signal" | "onProgress">,
  progressed: () => void,
): Promise<void> {
  const { missing } = transfer;
  let wrong = 0;
  let here = total;
  for (const index of missing) here -= lengthOf(list, index);
  for (let first = nextOf(missing); first !== null; first = nextOf(missing)) {
    let end = first;
    while (missing.has(end)) end += 1;
    let begun = transfer.begun?.index === first ? transfer.begun : begin(list, first);
    const from = placeOf(list, first).from + begun.filled;
    const pieces = source.range(digest, from, placeOf(list, end - 1).to, signal);
    for await (const piece of pieces) {
      for (let at = 0; at < piece.byteLength && begun.index < end;) {
        const taken = piece.subarray(at, at + begun.buffer.byteLength - begun.filled);
        begun.buffer.set(taken, begun.filled);
        begun.filled += taken.byteLength;
        at += taken.byteLength;
        transfer.begun = begun;
        // Bytes that come are progress, however slow the line is; what is wrong with them ends by itself.
        progressed();
        if (begun.filled < begun.buffer.byteLength) {
          onProgress(here + begun.filled, total);
          continue;
        }
        transfer.begun = null;
        if (hashOf(begun.buffer) !== list.sha256[begun.index]) {
          wrong += 1;
          if (wrong >= WRONG_CHUNKS) throw corrupt(digest);
        } else {
          await file.write(begun.buffer, 0, begun.buffer.byteLength, placeOf(list, begun.index).from);
          missing.delete(begun.index);
          here += begun.buffer.byteLength;
        }
        onProgress(here, total);
        begun = begin(list, begun.index + 1);
      }
      if (begun.index >= end) break;
    }
    if (begun.index < end)
      throw new Failure("blob-unavailable", `Of blob ${digest} less came than was asked for.`);
  }
}

/** A buffer of its own: of the last one the file may still be taking bytes. */
function begin(list: ChunkList, index: number): Begun {
  return { index, buffer: Buffer.alloc(index < list.sha256.length ? lengthOf(list, index) : 0), filled: 0 };
}

function placeOf({ bytes, chunkBytes }: ChunkList, index: number): { from: number; to: number } {
  return { from: index * chunkBytes, to: Math.min(bytes, (index + 1) * chunkBytes) };
}

function lengthOf(list: ChunkList, index: number): number {
  const { from, to } = placeOf(list, index);
  return to - from;
}

function nextOf(missing: ReadonlySet<number>): number | null {
  for (const index of missing) return index;
  return null;
}

async function digestOfFile(file: FileHandle, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  const piece = Buffer.alloc(Math.min(bytes, 4 * 1024 * 1024));
  for (let at = 0; at < bytes;) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.byteLength, bytes - at), at);
    if (bytesRead === 0) break;
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash.digest("hex");
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function corrupt(digest: string): Failure {
  return new Failure(
    "blob-corrupt",
    `The orchestrator sent other bytes than those of digest ${digest}. They were thrown away.`,
  );
}
