import { z } from "zod";
import { Failure } from "./failure.ts";
import { DEFAULT_MODEL, MOST_BATCH, MOST_MICRO_BATCHES } from "./model.ts";
import type { ModelSpec } from "./model.ts";

/**
 * What decides a run's numbers, apart from its text. `tiny` is for tests: a step takes milliseconds. A
 * checkpoint of the default model is 33 MB; where steps are quick, it is stored more seldom (disk-period.ts).
 */
export const MODEL_SIZES = {
  default: { model: DEFAULT_MODEL, batch: 4, sequence: 128, microBatches: 8, checkpointEverySteps: 512 },
  tiny: {
    model: { ...DEFAULT_MODEL, width: 32, heads: 2, hidden: 64 } satisfies ModelSpec,
    batch: 2,
    sequence: 32,
    microBatches: 2,
    checkpointEverySteps: 50,
  },
} as const;
export type ModelSize = keyof typeof MODEL_SIZES;

/** How a step's sequences are dealt. */
export const dealtSteps = z.strictObject({
  batch: z.int().min(1).max(MOST_BATCH),
  microBatches: z.int().min(1).max(MOST_MICRO_BATCHES),
});
export type Dealt = Readonly<z.infer<typeof dealtSteps>>;

export function isDealtAs(one: Dealt, other: Dealt): boolean {
  return one.batch === other.batch && one.microBatches === other.microBatches;
}

/**
 * The sequences of a step in so many micro-batches; more of these than it has sequences are a larger step, of
 * micro-batches as usual.
 *
 * @throws Failure `bad-option` when they do not come out even
 */
export function dealtInto(microBatches: number, { batch, microBatches: usual }: Dealt): Dealt {
  const sequences = batch * usual;
  if (microBatches > sequences) return { batch, microBatches };
  if (microBatches >= 1 && sequences % microBatches === 0)
    return { batch: sequences / microBatches, microBatches };
  const even = Array.from({ length: sequences }, (_, i) => i + 1).filter((each) => sequences % each === 0);
  throw new Failure(
    "bad-option",
    `A step has ${sequences} sequences, which do not come out even in ${microBatches} micro-batches: --micro-batches is ${even.join(", ")}, or more than ${sequences} of ${batch} for a larger step.`,
  );
}
