import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { CHECKPOINT_MANIFEST_FILE, checkpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import type { CheckpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import type { Stage } from "../src-engine/stage.ts";
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
  const stored = openTrainedWeights(networkFolder, run, stages);
  if (stored === null) return null;
  const { step, links, names, read } = stored;
  return { step, links, weights: new Map([...names].map((name) => [name, read(name)])) };
}

/** The same, each parameter read when it is asked for. */
export interface StoredWeights {
  readonly step: number;
  readonly names: ReadonlySet<string>;
  /** A new array. */
  read(name: string): Float32Array;
  readonly links: readonly string[] | null;
}

/**
 * All of the newest step is checked once, a piece at a time; of a large model nothing else is held.
 *
 * @throws Failure `checkpoint-unusable`
 */
export function openTrainedWeights(
  networkFolder: string,
  run: RunSpec,
  stages: readonly Pick<Stage, "parameters" | "parameterCount">[],
): StoredWeights | null {
  const manifest = readManifest(networkFolder);
  if (manifest === null) return null;
  if (manifest.runSha256 !== runDigest(run) || manifest.stages.length !== stages.length)
    throw unusable("it belongs to another run");
  const places = new Map<string, { path: string; from: number; size: number }>();
  for (const [stage, { parameters, parameterCount }] of stages.entries()) {
    const entry = manifest.stages[stage];
    if (entry === undefined) throw unusable("a stage is missing");
    const path = join(networkFolder, ...entry.file.split("/"));
    checkSnapshot(path, entry.sha256, { run, stage, step: manifest.step, parameterCount });
    let from = SNAPSHOT_HEADER_BYTES;
    for (const { name, size } of parameters) {
      places.set(name, { path, from, size });
      from += size * Float32Array.BYTES_PER_ELEMENT;
    }
  }
  const links = manifest.stages.flatMap(({ link }) => link ?? []);
  return {
    step: manifest.step,
    names: new Set(places.keys()),
    links: links.length === stages.length ? links : null,
    read: (name) => {
      const place = places.get(name);
      if (place === undefined) throw new RangeError(`The run trains no parameter "${name}".`);
      const values = new Float32Array(place.size);
      const descriptor = opened(place.path);
      try {
        readWhole(descriptor, new Uint8Array(values.buffer), place.from);
      } finally {
        closeSync(descriptor);
      }
      return values;
    },
  };
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

/** A snapshot's `[parameters | m | v]`: all of it is hashed, and every parameter must be a number. */
function checkSnapshot(path: string, sha256: string, place: Place): void {
  const { run, stage, step, parameterCount } = place;
  const payloadBytes = parameterCount * 3 * Float32Array.BYTES_PER_ELEMENT;
  const parameterBytes = parameterCount * Float32Array.BYTES_PER_ELEMENT;
  let isFinite = true;
  const header = Buffer.alloc(SNAPSHOT_HEADER_BYTES);
  const hash = createHash("sha256");
  const descriptor = opened(path);
  try {
    if (fstatSync(descriptor).size !== SNAPSHOT_HEADER_BYTES + payloadBytes)
      throw unusable("a file of it has another length");
    readWhole(descriptor, header, 0);
    hash.update(header);
    const piece = new Uint8Array(Math.min(PIECE_BYTES, payloadBytes));
    for (let at = 0; at < payloadBytes; at += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, payloadBytes - at));
      readWhole(descriptor, part, SNAPSHOT_HEADER_BYTES + at);
      hash.update(part);
      const count = Math.min(part.length, parameterBytes - at) / Float32Array.BYTES_PER_ELEMENT;
      if (count > 0) isFinite &&= isFiniteTensor(new Float32Array(piece.buffer, 0, count));
    }
  } finally {
    closeSync(descriptor);
  }
  if (hash.digest("hex") !== sha256) throw unusable("a file of it is damaged");
  const parsed = snapshotHeader.safeParse(json(header.toString("utf8")));
  const fits =
    parsed.data?.runSha256 === runDigest(run) && parsed.data.stage === stage && parsed.data.step === step;
  if (!fits) throw unusable("a file of it belongs to another step or stage");
  if (!isFinite) throw unusable("a parameter of it is no number");
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
