import { z } from "zod";
import { sha256Hex } from "./keys.ts";

/**
 * `<network folder>/checkpoint.json`: the newest step that every stage of the run has stored, for
 * whoever has the folder. It is replaced whole, and gone when there is no such step.
 */
export const CHECKPOINT_MANIFEST_FILE = "checkpoint.json";

const completeCheckpoint = z.strictObject({
  step: z.int().positive(),
  /** In the order of the stages: snapshot files (snapshot.ts). */
  stages: z
    .array(
      z.strictObject({
        sha256: sha256Hex,
        bytes: z.int().positive(),
        /** Of the stage's chain at `step`, as its snapshot says; absent where it says none. */
        link: sha256Hex.optional(),
        /** Below the network folder, with `/`. */
        file: z.string().regex(/^[a-z0-9]+(\/[a-z0-9]+)*$/),
      }),
    )
    .min(1)
    .max(1024),
});

export const checkpointManifest = completeCheckpoint.extend({
  schema: z.literal("train-at-home/checkpoint/v1"),
  runId: z.string().min(1).max(64),
  runSha256: sha256Hex,
  /** Steps before it that every stage still has, the newest first: where a part of the run can be done again from. */
  earlier: z.array(completeCheckpoint).max(1024).optional(),
});
export type CheckpointManifest = z.infer<typeof checkpointManifest>;
