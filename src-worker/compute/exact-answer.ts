import { createHash } from "node:crypto";
import { randomStream } from "../../src-engine/random.ts";
import { KERNELS } from "../../src-protocol/arithmetic.ts";
import { failureBody } from "../../src-protocol/failure.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../../src-protocol/model.ts";
import type { StageSpec } from "./compute-call.ts";
import type { Compute } from "./compute.ts";
import { stageBytes, stageMemory } from "../stage/stage-memory.ts";

/**
 * What `exactAnswer` gives on every computer that holds the class `exact`. Run on AVX2 with 1 to 16 threads. It
 * changes with the class's kernels, and then runs that were begun before are another class.
 */
export const EXACT_ANSWER = "f6346823b4ce17fc1d53532852f9a25d135573e3844e15d8f2254e2aab542f7c";

/** Wide enough that threads, if they could, would change the order of its sums. */
const SPEC: StageSpec = {
  model: { ...DEFAULT_MODEL, vocabulary: 64, width: 192, heads: 2, blocks: 1, hidden: 512 },
  batch: 1,
  sequence: 64,
  stages: 1,
  stage: 0,
  arithmetic: "exact",
  kernels: KERNELS.exact,
};

/**
 * A small training in the class `exact`: the SHA-256 of all parameters after `steps` steps, and of
 * the losses. Takes some ms a step.
 *
 * @throws Failure as the compute thread's calls
 */
export async function exactAnswer(compute: Pick<Compute, "call">, steps = 2): Promise<string> {
  const { answer: info } = await compute.call("open", { spec: SPEC, file: null });
  const memory = stageMemory(info, new SharedArrayBuffer(stageBytes(info)));
  await compute.call("load", { memory: memory.buffer, seed: 1, recompute: "full" });
  const random = randomStream("exact answer");
  const hash = createHash("sha256");
  for (let step = 0; step < steps; step++) {
    const draw = () => Int32Array.from({ length: SPEC.sequence }, () => Math.floor(random() * 64));
    const data = { tokens: draw(), targets: draw() };
    const { answer } = await compute.call("tail", { x: null, data });
    hash.update(new Uint8Array(Float32Array.of(answer.loss).buffer));
    await compute.call("optimise", { optimizer: DEFAULT_OPTIMIZER, step, microBatches: 1 });
  }
  await compute.call("download", {});
  for (const { buffer, byteOffset, byteLength } of memory.parameters)
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest("hex");
}

/**
 * Whether this computer, as `compute` uses it, gives the bits that all others in the class give.
 *
 * @throws Failure `compute-lost`: with this compute thread nothing is found out any more, nor done
 */
export async function holdsExact(compute: Pick<Compute, "call">): Promise<boolean> {
  try {
    return (await exactAnswer(compute)) === EXACT_ANSWER;
  } catch (error) {
    if (failureBody(error).code === "compute-lost") throw error;
    // A provider that cannot even run it does not hold the class; training says why, if it comes to that.
    return false;
  }
}
