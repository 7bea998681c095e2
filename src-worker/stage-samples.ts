import { heldOutOffsets, tokensAt, trainingOffsets } from "../src-engine/samples.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { Pass } from "./pipeline-event.ts";

export interface Tokens {
  readonly inputs: Int32Array<ArrayBuffer>;
  readonly targets: Int32Array<ArrayBuffer>;
}

/** The tokens of a micro-batch: a pure function of run, step and number, so head and tail agree without talking. */
export type Samples = (of: { pass: Pass; step: number; microBatch: number }) => Tokens;

export function samplesOf(spec: RunSpec, corpus: Uint8Array): Samples {
  const shape = { ...spec, corpusBytes: corpus.length };
  return ({ pass, step, microBatch }) => {
    const offsets =
      pass === "evaluate"
        ? heldOutOffsets({ ...shape, index: microBatch })
        : trainingOffsets({ ...shape, step, microBatch });
    const { inputs, targets } = tokensAt(corpus, offsets, spec.sequence);
    // Copies of their own buffers: they are given away to the compute thread.
    return { inputs: new Int32Array(inputs), targets: new Int32Array(targets) };
  };
}

/** For a stage between head and tail. */
export const noSamples: Samples = () => {
  throw new Failure("no-samples", "This stage was asked for tokens, which only head and tail have.");
};
