import { availableParallelism } from "node:os";
import { randomStream } from "../src-engine/random.ts";
import { KERNELS } from "../src-protocol/arithmetic.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { Compute } from "../src-worker/compute/compute.ts";
import { stageBytes } from "../src-worker/stage/stage-memory.ts";
import type { Progress } from "./bench.ts";
import { cpuClock, interleave } from "./interleave.ts";
import { median } from "./median.ts";

const BATCH = 4;
const SEQUENCE = 128;
const MICRO_BATCHES = 8;
const ROUNDS = 15;
/** AdamW's epsilon of 1e-8 is 2⁻²⁶·⁶: a rounding to this grid moves a parameter by at most 2⁻²¹ of the rate. */
const GRID = 2 ** -47;
/** (x + C) − C rounds a double to a multiple of GRID. */
const ROUND = 1.5 * 2 ** 52 * GRID;

export interface SumsResult {
  parameters: number;
  tokensOfMicroBatch: number;
  cores: number;
  /** CPU time of forward and backward of the default model, which adds to the sums in order. */
  passMs: number;
  /** Of adding one micro-batch's gradients. */
  orderedMs: number;
  exactMs: number;
  /** What sums that are exact in any order would add to a pass, which has the others in it; median of the rounds. */
  exactOfPass: number;
  orderedBytesPerParameter: number;
  exactBytesPerParameter: number;
  /** Whether the sum of the same gradients, last first, has the same bits. */
  orderedIsSameInAnyOrder: boolean;
  exactIsSameInAnyOrder: boolean;
}

/**
 * How a stage's gradients could be added up so that the bits do not depend on who was faster or died.
 * In order: a micro-batch that comes early waits, ONNX Runtime adds in float32 where the sum is.
 * Exact: each gradient is rounded to a grid that all share, and added in float64 without an error;
 * then any order will do, at the price of a pass over twice as wide sums in JavaScript.
 *
 * A stage's links keep their order and a stage works on gradients in theirs, so the first costs
 * nothing here. Replicas that take micro-batches as they come would need the second; a sum must then
 * stay below 2⁵³ steps of the grid, which is 64.
 */
export async function benchSums(progress: Progress): Promise<SumsResult> {
  const compute = new Compute({ threads: 1, executionProvider: "cpu", niceness: null });
  try {
    const spec = { model: DEFAULT_MODEL, batch: BATCH, sequence: SEQUENCE, stages: 1, stage: 0 };
    const exactClass = { arithmetic: "exact", kernels: KERNELS.exact } as const;
    const { answer: info } = await compute.call("open", { spec: { ...spec, ...exactClass }, file: null });
    const memory = new SharedArrayBuffer(stageBytes(info));
    await compute.call("load", { memory, seed: 1, recompute: "full" });
    const count = info.parameterCount;
    const random = randomStream("bench", "sums");
    const gradients = Array.from({ length: MICRO_BATCHES }, () =>
      Float32Array.from({ length: count }, () => (random() - 0.5) * 1e-3),
    );
    const tokens = Int32Array.from({ length: BATCH * SEQUENCE }, () => Math.floor(random() * 256));
    const [ordered, exact] = [new Float32Array(count), new Float64Array(count)];
    const [first = new Float32Array(count)] = gradients;
    progress(`${count} parameters, ${BATCH * SEQUENCE} tokens a micro-batch`);
    const times = await interleave(
      {
        pass: () => compute.call("tail", { x: null, data: { tokens, targets: tokens } }),
        ordered: () => addInOrder(ordered, first),
        exact: () => addExactly(exact, first),
      },
      { warmUp: 3, rounds: ROUNDS, seconds: 60, clock: cpuClock },
    );
    const over = times.pass.map((ms, i) => (times.exact[i] ?? 0) / ms);
    return {
      parameters: count,
      tokensOfMicroBatch: BATCH * SEQUENCE,
      cores: availableParallelism(),
      passMs: rounded(median(times.pass)),
      orderedMs: rounded(median(times.ordered)),
      exactMs: rounded(median(times.exact)),
      exactOfPass: Number(median(over).toFixed(4)),
      orderedBytesPerParameter: Float32Array.BYTES_PER_ELEMENT,
      exactBytesPerParameter: Float64Array.BYTES_PER_ELEMENT,
      orderedIsSameInAnyOrder: isSameReversed(gradients, () => new Float32Array(count), addInOrder),
      exactIsSameInAnyOrder: isSameReversed(gradients, () => new Float64Array(count), addExactly),
    };
  } finally {
    await compute.close();
  }
}

function addInOrder(sum: Float32Array, gradient: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradient[i] as number);
}

function addExactly(sum: Float64Array, gradient: Float32Array): void {
  for (let i = 0; i < sum.length; i++)
    sum[i] = (sum[i] as number) + ((gradient[i] as number) + ROUND - ROUND);
}

function isSameReversed<Sum extends Float32Array | Float64Array>(
  gradients: readonly Float32Array[],
  empty: () => Sum,
  add: (sum: Sum, gradient: Float32Array) => void,
): boolean {
  const [there, back] = [empty(), empty()];
  for (const gradient of gradients) add(there, gradient);
  for (const gradient of gradients.toReversed()) add(back, gradient);
  return there.every((value, i) => value === back[i]);
}

function rounded(ms: number): number {
  return Number(ms.toFixed(2));
}
