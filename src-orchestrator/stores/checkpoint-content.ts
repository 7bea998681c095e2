import { crc32 } from "node:zlib";
import type { RunSpec } from "../../src-protocol/model.ts";
import { StateDigest } from "../../src-protocol/state-digest.ts";
import { StateSample } from "../../src-protocol/state-sample.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import {
  SNAPSHOT_HEADER_BYTES,
  isSoundState,
  snapshotDigest,
  snapshotHeader,
} from "../../src-protocol/snapshot.ts";
import type { SnapshotHeader } from "../../src-protocol/snapshot.ts";

export interface CheckpointPlace {
  readonly run: RunSpec;
  readonly stage: number;
  readonly step: number;
  readonly parameterCount: number;
  /** `snapshotDigest` of the state that the stage has saved. */
  readonly digest: string;
  /** Of the whole state; null: it is not known, and its sample and checksum have to do. */
  readonly stateSha256: string | null;
}

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

/**
 * True when these bytes are the snapshot of just this stage and step, whole and made of numbers.
 * SECURITY: everybody who recovers from a checkpoint believes it, so it is read before it is named.
 */
export async function isCheckpointOf(
  place: CheckpointPlace,
  bytes: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const total = place.parameterCount * 3;
  let rest: Uint8Array = new Uint8Array();
  let header: SnapshotHeader | null = null;
  const state = new StateDigest();
  const sample = new StateSample(total * FLOAT_BYTES);
  let sum = 0;
  let start = 0;
  for await (const chunk of bytes) {
    const piece = Buffer.concat([rest, chunk]);
    let from = 0;
    if (header === null) {
      if (piece.length < SNAPSHOT_HEADER_BYTES) {
        rest = piece;
        continue;
      }
      header = headerOf(piece, place);
      if (header?.payloadBytes !== total * FLOAT_BYTES) return false;
      from = SNAPSHOT_HEADER_BYTES;
    }
    const to = piece.length - ((piece.length - from) % FLOAT_BYTES);
    rest = piece.subarray(to);
    // A copy of its own: a chunk may lie at any address, and values only at whole ones.
    const payload = new Uint8Array(piece.subarray(from, to));
    const values = new Float32Array(payload.buffer);
    sum = crc32(payload, sum);
    state.update(payload);
    sample.update(payload);
    if (start + values.length > total || !isSoundState(values, start, total)) return false;
    start += values.length;
  }
  const isIt = place.stateSha256 === null || place.stateSha256 === state.digest();
  if (header !== null && "sampleSha256" in header && header.sampleSha256 !== sample.digest()) return false;
  return isIt && start === total && rest.length === 0 && header?.payloadCrc32 === sum;
}

function headerOf(piece: Buffer, { run, stage, step, digest }: CheckpointPlace): SnapshotHeader | null {
  try {
    const header = snapshotHeader.parse(JSON.parse(piece.toString("utf8", 0, SNAPSHOT_HEADER_BYTES)));
    const isOurs = header.runSha256 === runDigest(run) && header.runId === run.runId;
    const isIt = header.stage === stage && header.step === step && snapshotDigest(header) === digest;
    return isOurs && isIt ? header : null;
  } catch {
    return null;
  }
}
