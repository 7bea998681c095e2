import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { copyFile, open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { Failure } from "../../src-protocol/failure.ts";
import { SNAPSHOT_HEADER_BYTES, snapshotDigest, snapshotHeader } from "../../src-protocol/snapshot.ts";
import type { NewSnapshotHeader, SnapshotHeader } from "../../src-protocol/snapshot.ts";
import { StateSample, stateSample } from "../../src-protocol/state-sample.ts";

/** Small enough that summing or copying one piece never delays a heartbeat or a tensor noticeably. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** Stands in the header's place while the file is being written. */
const UNFINISHED = "unfinished";

export type SnapshotName = Pick<SnapshotHeader, "runId" | "runSha256" | "stage" | "step" | "link">;

/**
 * Where a file lies. On a disk it has a checksum. In a file system that lies in memory it has none: a process
 * that is killed at any moment leaves what it has written in the order in which it has written it, with its header
 * last, and a power cut leaves nothing. Decayed memory is not found there, as little as in the process's own.
 */
export type Place = "disk" | "memory";

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
  place: Place,
): Promise<NewSnapshotHeader> {
  const file = await open(path, target === "new" ? "w" : "r+", 0o600);
  try {
    // First, so that a file cut short by a kill says so.
    await writeWhole(file, headerBlock(UNFINISHED), 0);
    if (target === "existing") await file.truncate(SNAPSHOT_HEADER_BYTES + payload.byteLength);
    let sum = 0;
    for (let offset = 0; offset < payload.byteLength; offset += PIECE_BYTES) {
      const piece = new Uint8Array(payload, offset, Math.min(PIECE_BYTES, payload.byteLength - offset));
      if (place === "disk") sum = crc32(piece, sum);
      await writeWhole(file, piece, SNAPSHOT_HEADER_BYTES + offset);
    }
    const header = { ...snapshotHeaderOf(name, payload), payloadCrc32: place === "disk" ? sum : null };
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
): Promise<NewSnapshotHeader> {
  const file = openSync(path, target === "new" ? "w" : "r+", 0o600);
  try {
    copyWhole(file, headerBlock(UNFINISHED), 0);
    if (target === "existing") ftruncateSync(file, SNAPSHOT_HEADER_BYTES + payload.byteLength);
    for (let offset = 0; offset < payload.byteLength; offset += PIECE_BYTES) {
      if (offset > 0) await new Promise(setImmediate);
      const piece = new Uint8Array(payload, offset, Math.min(PIECE_BYTES, payload.byteLength - offset));
      copyWhole(file, piece, SNAPSHOT_HEADER_BYTES + offset);
    }
    const header = snapshotHeaderOf(name, payload);
    copyWhole(file, headerBlock(JSON.stringify(header)), 0);
    return header;
  } finally {
    closeSync(file);
  }
}

/**
 * Copies a file from memory to a disk, where it gets a checksum. What cannot be read is copied as it is: whoever
 * reads the copy finds that out.
 */
export async function copyToDisk(from: string, to: string): Promise<void> {
  const source = await openSource(from);
  try {
    const header = await readSnapshotHeader(source).catch(() => null);
    if (header === null || header.payloadCrc32 !== null) return await copyFile(from, to);
    const file = await open(to, "w", 0o600);
    try {
      await writeWhole(file, headerBlock(UNFINISHED), 0);
      let payloadCrc32 = 0;
      const scratch = new Uint8Array(Math.min(PIECE_BYTES, header.payloadBytes));
      for (let offset = 0; offset < header.payloadBytes; offset += PIECE_BYTES) {
        const piece = scratch.subarray(0, header.payloadBytes - offset);
        await source.read(piece, SNAPSHOT_HEADER_BYTES + offset);
        payloadCrc32 = crc32(piece, payloadCrc32);
        await writeWhole(file, piece, SNAPSHOT_HEADER_BYTES + offset);
      }
      await writeWhole(file, headerBlock(JSON.stringify({ ...header, payloadCrc32 })), 0);
    } finally {
      await file.close();
    }
  } finally {
    await source.close();
  }
}

/** Of the file that would be written, in memory; the payload must not change meanwhile. */
export function snapshotHeaderOf(name: SnapshotName, payload: SharedArrayBuffer): NewSnapshotHeader {
  return {
    schema: "train-at-home/snapshot/v2",
    ...name,
    payloadBytes: payload.byteLength,
    sampleSha256: stateSample(payload),
    payloadCrc32: null,
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
  place: Place,
): Promise<void> {
  if (into !== null && into.byteLength !== header.payloadBytes)
    throw corrupt("it belongs to a stage of another size");
  if (place === "disk" && header.payloadCrc32 === null) throw corrupt("it has no checksum");
  let sum = 0;
  const sample = new StateSample(header.payloadBytes);
  const scratch = into === null ? new Uint8Array(Math.min(PIECE_BYTES, header.payloadBytes)) : null;
  for (let offset = 0; offset < header.payloadBytes; offset += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, header.payloadBytes - offset);
    const piece = into === null ? scratch?.subarray(0, length) : new Uint8Array(into, offset, length);
    if (piece === undefined) break;
    await source.read(piece, SNAPSHOT_HEADER_BYTES + offset);
    if (header.payloadCrc32 !== null) sum = crc32(piece, sum);
    sample.update(piece);
  }
  const isWhole = header.payloadCrc32 === null || sum === header.payloadCrc32;
  if (!isWhole) throw corrupt("its content does not match its checksum");
  if ("sampleSha256" in header && sample.digest() !== header.sampleSha256)
    throw corrupt("its content is not what its header says");
  // The process before may still be there, and take the place for a later step.
  if (
    header.payloadCrc32 === null &&
    snapshotDigest(await readSnapshotHeader(source)) !== snapshotDigest(header)
  )
    throw corrupt("it was written over while it was read");
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
