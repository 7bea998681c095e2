import { KERNELS } from "../src-protocol/arithmetic.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { sha256 } from "../src-protocol/signing.ts";

/** Text with some structure, the same everywhere. */
export const TINY_CORPUS: Uint8Array = new TextEncoder().encode(
  Array.from({ length: 400 }, (_, i) => `Line ${i * i}: the whale is ${i % 7} fathoms long.\n`).join(""),
);

/** Small enough that three processes on one core train a step in milliseconds. */
export function tinyRun(changes: Partial<RunSpec> = {}): RunSpec {
  return {
    runId: "tiny",
    name: "Tiny",
    model: {
      kind: "llama",
      vocabulary: 256,
      width: 32,
      heads: 2,
      blocks: 3,
      hidden: 64,
      ropeBase: 10_000,
      normEpsilon: 1e-5,
    },
    stages: 3,
    batch: 2,
    sequence: 16,
    microBatches: 4,
    optimizer: {
      learningRate: 3e-3,
      warmupSteps: 4,
      decaySteps: 100,
      finalFraction: 0.1,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.1,
    },
    arithmetic: "fast",
    kernels: KERNELS.fast,
    seed: 7,
    steps: null,
    evaluateEverySteps: 5,
    evaluationMicroBatches: 2,
    checkpointEverySteps: 1000,
    corpus: { name: "tiny", sha256: sha256(TINY_CORPUS), bytes: TINY_CORPUS.length, tokenBytes: 1 },
    ...changes,
  };
}
