import { cutModel } from "../src-engine/stages.ts";
import type { TrainableModel } from "../src-engine/trainable-model.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { DEFAULT_ARITHMETIC } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";

/** What is asked for; `exact-if-possible`: else `fast`, and said. */
export type WantedArithmetic = Arithmetic | "exact-if-possible";

/**
 * The class that a model is trained in.
 *
 * @throws Failure `not-exact` where `exact` is wanted of a model that cannot be
 */
export function trainingArithmetic(
  model: TrainableModel,
  stages: number,
  wanted: WantedArithmetic = DEFAULT_ARITHMETIC.ownComputer,
): { readonly arithmetic: Arithmetic; readonly notes: readonly string[] } {
  if (wanted === "fast") return { arithmetic: wanted, notes: [] };
  try {
    // Graphs are written when they are asked for, and by each worker: too late to be told.
    for (const stage of cutModel({ ...model, arithmetic: "exact" }, stages)) stage.train();
    return { arithmetic: "exact", notes: [] };
  } catch (error) {
    const isRefused = error instanceof Failure && error.code === "not-exact";
    if (!isRefused || wanted === "exact") throw error;
    return { arithmetic: "fast", notes: [error.message] };
  }
}
