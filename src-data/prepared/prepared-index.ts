import { join } from "node:path";
import { z } from "zod";
import { runSpec } from "../../src-protocol/model.ts";

const lines = z.array(z.string());

/** What is known of data that was prepared: `TrainingData`, as it is stored. */
export const preparedIndex = z.strictObject({
  corpus: runSpec.shape.corpus,
  tokens: z.int().nonnegative(),
  heldOutTokens: z.int().nonnegative().nullable(),
  kind: z.string(),
  taken: z.array(
    z.strictObject({
      name: z.string(),
      as: z.string(),
      split: z.enum(["train", "validation", "test"]),
      tokens: z.number().nonnegative(),
      notes: lines,
    }),
  ),
  leftOut: z.array(z.strictObject({ name: z.string(), why: z.string() })),
  notes: lines,
});

export const tokenFile = (cache: string, sha256: string): string => join(cache, `${sha256}.tokens`);
