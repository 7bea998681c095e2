import { importModel } from "../src-engine/import/import-model.ts";
import { withCrossEntropy } from "../src-engine/import/loss.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { Roles } from "./model-roles.ts";

/**
 * How many tokens a model gives scores of, and what a person should know of its import.
 *
 * @throws Failure `which-scores`, and those of `importModel`
 */
export function scoresOf(
  packed: Uint8Array,
  { sizes, fixed, scores, batch, sequence }: Roles,
  { freeze, train }: { freeze: readonly string[]; train: readonly string[] },
): { vocabulary: number; notes: readonly string[] } {
  const options = { sizes, fixed, outputs: [scores], freeze, train };
  const model = sized(() => importModel(packed, options), batch, sequence);
  const { outputs } = model;
  const shape = outputs[0]?.tensor.shape ?? [];
  const vocabulary = shape.at(-1) ?? 0;
  const places = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  if (vocabulary >= 2 && shape.length >= 2 && places === batch * sequence)
    return { vocabulary, notes: withCrossEntropy(model, scores).notes };
  throw new Failure(
    "which-scores",
    `The output "${scores}" has the shape [${shape.join(", ")}]. Scores of the next token would have [${batch}, ${sequence}, vocabulary]. Name another output with --scores, or other sizes.`,
  );
}

/** A model that does not take such sizes says so of some node in its middle. */
function sized<Result>(read: () => Result, batch: number, sequence: number): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "bad-shape") throw error;
    throw new Failure(
      "bad-shape",
      `The model does not take ${batch} sequences of ${sequence} tokens; it may be made for shorter ones (--sequence). ${error.message}`.slice(
        0,
        2000,
      ),
      { cause: error },
    );
  }
}
