import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { Failure } from "../../src-protocol/failure.ts";
import { SNAPSHOT_HEADER_BYTES, snapshotHeader } from "../../src-protocol/snapshot.ts";
import type { SnapshotHeader } from "../../src-protocol/snapshot.ts";

/** Small enough that summing one piece never delays a heartbeat or a tensor noticeably. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** Of what lies in memory: what was just summed is still in the processor's cache when it is copied. */
const CACHED_BYTES = 512 * 1024;

/** Stands in the header's place while the file is being written. */
const UNFINISHED = "unfinished";

export type SnapshotName = Omit<SnapshotHeader, "schema" | "payloadBytes" | "payloadCrc32">;

/**
 * Writes a file piece by piece; the payload must not change meanwhile. Over an existing one it writes
 * in place: that costs a quarter of a new file's time, and the same blocks are dirtied again before
 * they reach the disk, where a rename at every step would make some file systems flush each time.
 */
export async function writeSnapshotFile(
  path: string,
  name: SnapshotName,
  payload: SharedArrayBuffer,
  target: "new" | "existing",
): Promise<SnapshotHeader> {
  const file = await open(path, target === "new" ? "w" : "r+", 0o600);
  try {
    // First, so that a file cut short by a kill says so.
    await writeWhole(file, headerBlock(UNFINISHED), 0);
    if (target === "existing") await file.truncate(SNAPSHOT_HEADER_BYTES + payload.byteLength);
    let sum = 0;
    for (let offset = 0; offset < payload.byteLength; offset += PIECE_BYTES) {
      const piece = new Uint8Array(payload, offset, Math.min(PIECE_BYTES, payload.byteLength - offset));
      sum = crc32(piece, sum);
      await writeWhole(file, piece, SNAPSHOT_HEADER_BYTES + offset);
    }
    const header = headerOf(name, payload, sum);
    await writeWhole(file, headerBlock(JSON.stringify(header)), 0);
    return header;
  } finally {
    await file.close();
  }
}

/** The same in a file system that lies in memory, where a write is a copy, and by this very thread. */
export async function copySnapshotFile(
  path: string,
  name: SnapshotName,
  payload: SharedArrayBuffer,
  target: "new" | "existing",
): Promise<SnapshotHeader> {
  const file = openSync(path, target === "new" ? "w" : "r+", 0o600);
  try {
    copyWhole(file, headerBlock(UNFINISHED), 0);
    if (target === "existing") ftruncateSync(file, SNAPSHOT_HEADER_BYTES + payload.byteLength);
    let sum = 0;
    for (let offset = 0; offset < payload.byteLength; offset += CACHED_BYTES) {
      if (offset > 0 && offset % PIECE_BYTES === 0) await new Promise(setImmediate);
      const piece = new Uint8Array(payload, offset, Math.min(CACHED_BYTES, payload.byteLength - offset));
      sum = crc32(piece, sum);
      copyWhole(file, piece, SNAPSHOT_HEADER_BYTES + offset);
    }
    const header = headerOf(name, payload, sum);
    copyWhole(file, headerBlock(JSON.stringify(header)), 0);
    return header;
  } finally {
    closeSync(file);
  }
}

/** Of the file that would be written; the payload must not change meanwhile. */
export async function snapshotHeaderOf(
  name: SnapshotName,
  payload: SharedArrayBuffer,
): Promise<SnapshotHeader> {
  let sum = 0;
  for (let offset = 0; offset < payload.byteLength; offset += PIECE_BYTES) {
    if (offset > 0) await new Promise(setImmediate);
    sum = crc32(new Uint8Array(payload, offset, Math.min(PIECE_BYTES, payload.byteLength - offset)), sum);
  }
  return headerOf(name, payload, sum);
}

function headerOf(name: SnapshotName, payload: SharedArrayBuffer, payloadCrc32: number): SnapshotHeader {
  return {
    schema: "train-at-home/snapshot/v1",
    ...name,
    payloadBytes: payload.byteLength,
    payloadCrc32,
  };
}

function headerBlock(text: string): Buffer {
  return Buffer.from(`${text.padEnd(SNAPSHOT_HEADER_BYTES - 1)}\n`);
}

async function writeWhole(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function copyWhole(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
}

/** Where a snapshot's bytes come from. */
export interface SnapshotSource {
  readonly bytes: number;
  /** Fills `into` from `position` on. */
  read(into: Uint8Array, position: number): Promise<void>;
}

export async function readSnapshotHeader(source: SnapshotSource): Promise<SnapshotHeader> {
  if (source.bytes < SNAPSHOT_HEADER_BYTES) throw corrupt("it is too short");
  const block = Buffer.alloc(SNAPSHOT_HEADER_BYTES);
  await source.read(block, 0);
  if (block.toString("utf8", 0, UNFINISHED.length) === UNFINISHED) {
    throw new Failure("snapshot-unfinished", "The process ended while it wrote this snapshot.");
  }
  let header: SnapshotHeader;
  try {
    header = snapshotHeader.parse(JSON.parse(block.toString()));
  } catch {
    throw corrupt("its header cannot be read");
  }
  if (source.bytes !== SNAPSHOT_HEADER_BYTES + header.payloadBytes) throw corrupt("its length is wrong");
  return header;
}

/** Reads and checks the payload; with `into`, which must be as long, it also lands there. */
export async function readSnapshotPayload(
  source: SnapshotSource,
  header: SnapshotHeader,
  into: SharedArrayBuffer | null,
): Promise<void> {
  if (into !== null && into.byteLength !== header.payloadBytes)
    throw corrupt("it belongs to a stage of another size");
  let sum = 0;
  const scratch = into === null ? new Uint8Array(Math.min(PIECE_BYTES, header.payloadBytes)) : null;
  for (let offset = 0; offset < header.payloadBytes; offset += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, header.payloadBytes - offset);
    const piece = into === null ? scratch?.subarray(0, length) : new Uint8Array(into, offset, length);
    if (piece === undefined) break;
    await source.read(piece, SNAPSHOT_HEADER_BYTES + offset);
    sum = crc32(piece, sum);
  }
  if (sum !== header.payloadCrc32) throw corrupt("its content does not match its checksum");
}

function corrupt(what: string): Failure {
  return new Failure("snapshot-corrupt", `A stored snapshot cannot be used: ${what}.`);
}

/** The caller closes it. */
export async function openSource(path: string): Promise<SnapshotSource & { close(): Promise<void> }> {
  const file = await open(path, "r");
  const { size } = await file.stat();
  return {
    bytes: size,
    async read(into, position) {
      for (let done = 0; done < into.length;) {
        const { bytesRead } = await file.read(into, done, into.length - done, position + done);
        if (bytesRead === 0)
          throw new Failure("snapshot-corrupt", "A stored snapshot cannot be used: it is too short.");
        done += bytesRead;
      }
    },
    close: () => file.close(),
  };
}
