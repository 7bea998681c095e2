import { z } from "zod";
import { MOST_MODEL_FILES } from "./decoder.ts";
import { sha256Hex } from "./keys.ts";

/** `tah run verify` ↔ the process that does a run again, over Node's IPC channel. */
const path = z.string().min(1);

export const verifyRequest = z.strictObject({
  record: path,
  corpusFile: path,
  modelFiles: z.array(path).max(MOST_MODEL_FILES).readonly(),
  /** Where to begin: the stages' snapshots of a step. Null: at the seed. */
  checkpoint: z.strictObject({ step: z.int().positive(), files: z.array(path).min(1) }).nullable(),
  /** Links of these steps are compared; both count. */
  from: z.int().positive(),
  to: z.int().positive(),
  /** Null: of every stage. */
  stage: z.int().nonnegative().nullable(),
});
export type VerifyRequest = z.infer<typeof verifyRequest>;

export const verifyOutcome = z.strictObject({
  /** Where it began. */
  startStep: z.int().nonnegative(),
  /** The last step that was done again. */
  step: z.int().nonnegative(),
  /** Links that were compared, and found the same. */
  same: z.int().nonnegative(),
  /** The first step at which a link is another one; null: there is none. */
  differs: z
    .strictObject({
      step: z.int().positive(),
      stages: z.array(
        z.strictObject({ stage: z.int().nonnegative(), recorded: sha256Hex, repeated: sha256Hex }),
      ),
    })
    .nullable(),
  /** Of the model's parameters after `step` (parameters-digest.ts), as they were computed again. */
  parametersSha256: sha256Hex,
});
export type VerifyOutcome = z.infer<typeof verifyOutcome>;

export const verifyMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("repeated"),
    step: z.int().positive(),
    loss: z.number().nullable(),
    isCompared: z.boolean(),
  }),
  z.strictObject({ type: z.literal("done"), outcome: verifyOutcome }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type VerifyMessage = z.infer<typeof verifyMessage>;
