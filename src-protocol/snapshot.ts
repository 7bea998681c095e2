import { z } from "zod";
import { isFiniteTensor } from "./finite.ts";
import { canonicalJson } from "./canonical.ts";
import { sha256Hex } from "./keys.ts";
import { MOST_STAGES, MOST_STEPS } from "./model.ts";
import { sha256 } from "./signing.ts";

const named = {
  runId: z.string().min(1).max(64),
  runSha256: sha256Hex,
  stage: z.int().nonnegative().max(MOST_STAGES),
  step: z.int().nonnegative().max(MOST_STEPS),
  /** 0 for a stage that has nothing to train. */
  payloadBytes: z.int().nonnegative(),
  /** Of the stage's chain at `step` (state-chain.ts); absent where that is not known. */
  link: sha256Hex.optional(),
};
const crc32 = z.int().nonnegative();

/** As they were written before states had samples: they are read. */
const headerV1 = z.strictObject({
  schema: z.literal("train-at-home/snapshot/v1"),
  ...named,
  payloadCrc32: crc32,
});
const headerV2 = z.strictObject({
  schema: z.literal("train-at-home/snapshot/v2"),
  ...named,
  /** Of the state (state-sample.ts). */
  sampleSha256: sha256Hex,
  /**
   * Finds torn and decayed files. What comes over the network is checked by its SHA-256 as well. Null in a file
   * system that lies in memory, which a power cut empties, and nowhere else: to make it costs more than to copy the state.
   */
  payloadCrc32: crc32.nullable(),
});

/**
 * A stage at one step, as a file: one block of JSON, then `[parameters | m | v]` (AdamW's two
 * moments) as float32. The same bytes are a slot on this computer's disk and a checkpoint in the orchestrator's store.
 */
export const snapshotHeader = z.discriminatedUnion("schema", [headerV1, headerV2]);
export type SnapshotHeader = z.infer<typeof snapshotHeader>;
/** As it is written now. */
export type NewSnapshotHeader = z.infer<typeof headerV2>;

export const SNAPSHOT_HEADER_BYTES = 4096;

/**
 * Tells two states of the same stage and step apart, at the price of a sample: a step that was trained again has
 * another link, and other values everywhere. SECURITY: neighbours sign a stage's links and strangers may read them;
 * without the sample they could say that they have its state. It is not meant to bind who has it and lies about it;
 * that one could lie about any other hash of its own work too.
 */
export function snapshotDigest(header: SnapshotHeader): string {
  const { link = null, ...rest } = header;
  if (rest.schema === "train-at-home/snapshot/v1") return sha256(canonicalJson({ ...rest, link }));
  // The same state has the same digest in memory and on a disk.
  const { payloadCrc32: _, ...known } = rest;
  return sha256(canonicalJson({ ...known, link }));
}

/**
 * True when a piece of a snapshot's `[parameters | m | v]`, the values from `start` of `total`, can be
 * trained on. SECURITY: a value that is no number, or a negative second moment, whose root is none,
 * would spread to every parameter.
 */
export function isSoundState(values: Float32Array, start: number, total: number): boolean {
  if (!isFiniteTensor(values)) return false;
  for (let i = Math.max(0, (total / 3) * 2 - start); i < values.length; i++)
    if ((values[i] as number) < 0) return false;
  return true;
}
