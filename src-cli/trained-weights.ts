import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { CHECKPOINT_MANIFEST_FILE, checkpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import type { CheckpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import type { ParameterInfo, Stage } from "../src-engine/stage.ts";
import { Failure } from "../src-protocol/failure.ts";
import { isFiniteTensor } from "../src-protocol/finite.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import { SNAPSHOT_HEADER_BYTES, snapshotHeader } from "../src-protocol/snapshot.ts";

/** The whole model's parameters at one step. */
export interface TrainedWeights {
  readonly step: number;
  readonly weights: ReadonlyMap<string, Float32Array>;
  /** Of the stages' chains at that step, in their order; null where one is not known. */
  readonly links: readonly string[] | null;
}

/**
 * The newest step of the run that every stage has stored, from the folder of an embedded network.
 * Null when there is none yet. Safe while the network runs only in so far as a step may go while it
 * is read: then `checkpoint-unusable`.
 *
 * @throws Failure `checkpoint-unusable`
 */
export function readTrainedWeights(
  networkFolder: string,
  run: RunSpec,
  stages: readonly Pick<Stage, "parameters" | "parameterCount">[],
): TrainedWeights | null {
  const manifest = readManifest(networkFolder);
  if (manifest === null) return null;
  if (manifest.runSha256 !== runDigest(run) || manifest.stages.length !== stages.length)
    throw unusable("it belongs to another run");
  const weights = new Map<string, Float32Array>();
  for (const [index, { parameters, parameterCount }] of stages.entries()) {
    const entry = manifest.stages[index];
    if (entry === undefined) throw unusable("a stage is missing");
    const path = join(networkFolder, ...entry.file.split("/"));
    const values = readParameters(path, entry.sha256, {
      run,
      stage: index,
      step: manifest.step,
      parameterCount,
    });
    for (const [name, part] of partsOf(values, parameters)) weights.set(name, part);
  }
  const links = manifest.stages.flatMap(({ link }) => link ?? []);
  return { step: manifest.step, weights, links: links.length === stages.length ? links : null };
}

/** @throws Failure `checkpoint-unusable` when the file is there and is none */
export function readManifest(networkFolder: string): CheckpointManifest | null {
  let text: string;
  try {
    text = readFileSync(join(networkFolder, CHECKPOINT_MANIFEST_FILE), "utf8");
  } catch {
    return null;
  }
  try {
    return checkpointManifest.parse(JSON.parse(text));
  } catch (cause) {
    throw unusable("its list of files cannot be read", cause);
  }
}

interface Place {
  readonly run: RunSpec;
  readonly stage: number;
  readonly step: number;
  readonly parameterCount: number;
}

const PIECE_BYTES = 4 * 1024 * 1024;

/** The first third of a snapshot's `[parameters | m | v]`; all of it is hashed. */
function readParameters(path: string, sha256: string, place: Place): Float32Array {
  const { run, stage, step, parameterCount } = place;
  const payloadBytes = parameterCount * 3 * Float32Array.BYTES_PER_ELEMENT;
  const values = new Float32Array(parameterCount);
  const wanted = new Uint8Array(values.buffer);
  const header = Buffer.alloc(SNAPSHOT_HEADER_BYTES);
  const hash = createHash("sha256");
  const descriptor = opened(path);
  try {
    if (fstatSync(descriptor).size !== SNAPSHOT_HEADER_BYTES + payloadBytes)
      throw unusable("a file of it has another length");
    readWhole(descriptor, header, 0);
    hash.update(header);
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, payloadBytes));
    for (let at = 0; at < payloadBytes; at += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, payloadBytes - at));
      readWhole(descriptor, part, SNAPSHOT_HEADER_BYTES + at);
      hash.update(part);
      if (at < wanted.length) wanted.set(part.subarray(0, wanted.length - at), at);
    }
  } finally {
    closeSync(descriptor);
  }
  if (hash.digest("hex") !== sha256) throw unusable("a file of it is damaged");
  const parsed = snapshotHeader.safeParse(json(header.toString("utf8")));
  const fits =
    parsed.data?.runSha256 === runDigest(run) && parsed.data.stage === stage && parsed.data.step === step;
  if (!fits) throw unusable("a file of it belongs to another step or stage");
  if (!isFiniteTensor(values)) throw unusable("a parameter of it is no number");
  return values;
}

function* partsOf(
  values: Float32Array,
  parameters: readonly ParameterInfo[],
): Generator<[name: string, part: Float32Array]> {
  let at = 0;
  for (const { name, size } of parameters) {
    yield [name, values.subarray(at, at + size)];
    at += size;
  }
}

function opened(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw unusable("a file of it is missing", cause);
  }
}

function readWhole(descriptor: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length;) {
    const count = readSync(descriptor, into, done, into.length - done, position + done);
    if (count === 0) throw unusable("a file of it is too short");
    done += count;
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unusable(why: string, cause?: unknown): Failure {
  return new Failure("checkpoint-unusable", `The stored state of the training cannot be used: ${why}.`, {
    cause,
  });
}
