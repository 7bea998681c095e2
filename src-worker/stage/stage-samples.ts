import { heldOutOffsets, tokensAt, trainingOffsets } from "../../src-engine/samples.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { StageData } from "../compute/compute-call.ts";
import type { Pass } from "../pipeline/pipeline-event.ts";

/** The tokens of a micro-batch: a pure function of run, step and number, so head and tail agree without talking. */
export type Samples = (of: { pass: Pass; step: number; microBatch: number }) => StageData;

export function samplesOf(spec: RunSpec, corpus: Uint8Array): Samples {
  const { tokenBytes, trainingTokens } = spec.corpus;
  const shape = { ...spec, corpusTokens: Math.floor(corpus.length / tokenBytes), trainingTokens };
  return ({ pass, step, microBatch }) => {
    const offsets =
      pass === "evaluate"
        ? heldOutOffsets({ ...shape, index: microBatch })
        : trainingOffsets({ ...shape, step, microBatch });
    return tokensAt(corpus, offsets, spec.sequence, tokenBytes);
  };
}

/** For a stage between head and tail. */
export const noSamples: Samples = () => ({});
