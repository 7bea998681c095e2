import { z } from "zod";
import { isFiniteTensor } from "./finite.ts";
import { canonicalJson } from "./canonical.ts";
import { sha256Hex } from "./keys.ts";
import { MOST_STAGES, MOST_STEPS } from "./model.ts";
import { sha256 } from "./signing.ts";

/**
 * A stage at one step, as a file: one block of JSON, then `[parameters | m | v]` (AdamW's two
 * moments) as float32. The same bytes are a slot on this computer's disk and a checkpoint in the orchestrator's store.
 */
export const snapshotHeader = z.strictObject({
  schema: z.literal("train-at-home/snapshot/v1"),
  runId: z.string().min(1).max(64),
  runSha256: sha256Hex,
  stage: z.int().nonnegative().max(MOST_STAGES),
  step: z.int().nonnegative().max(MOST_STEPS),
  /** 0 for a stage that has nothing to train. */
  payloadBytes: z.int().nonnegative(),
  /** Finds torn and decayed files. What comes over the network is checked by its SHA-256 as well. */
  payloadCrc32: z.int().nonnegative(),
  /** Of the stage's chain at `step` (state-chain.ts); absent in files from before there was one. */
  link: sha256Hex.optional(),
});
export type SnapshotHeader = z.infer<typeof snapshotHeader>;

export const SNAPSHOT_HEADER_BYTES = 4096;

/**
 * Tells two states of the same stage and step apart, at the price of a checksum that is there anyhow:
 * a step that was trained again has another one. It is not meant to bind who lies about it; that one
 * could lie about any other hash of its own work too.
 */
export function snapshotDigest(header: SnapshotHeader): string {
  const { link = null, ...rest } = header;
  return sha256(canonicalJson({ ...rest, link }));
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
