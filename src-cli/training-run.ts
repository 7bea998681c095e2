import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { TrainingData } from "../src-data/gather-data.ts";
import { heldOutOffsets, trainingOffsets } from "../src-engine/samples.ts";
import { type Arithmetic, kernelsFor } from "../src-protocol/arithmetic.ts";
import { AS_THEY_ARE, codecsPart } from "../src-protocol/link-codecs.ts";
import { DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { ModelSource, TrainingOptions } from "./training-plan.ts";

/** The run of a model of somebody's own: its name says what is computed. */
export function runOf(
  { model: path, steps, learningRate, seed, codecs, before = null, keepsCodecs = false }: TrainingOptions,
  {
    model,
    batch,
    microBatches,
    sequence,
    stages,
    data: { corpus },
    arithmetic,
  }: {
    model: ModelSource["model"];
    batch: number;
    microBatches: number;
    sequence: number;
    stages: number;
    data: TrainingData;
    arithmetic: Arithmetic;
  },
): RunSpec {
  const mathematics = {
    model,
    stages,
    batch,
    sequence,
    microBatches,
    optimizer: {
      ...DEFAULT_OPTIMIZER,
      learningRate,
      warmupSteps: Math.min(DEFAULT_OPTIMIZER.warmupSteps, Math.floor(steps / 10)),
      decaySteps: steps,
    },
    seed,
    corpus,
  };
  // What the data's folder is called, and in which parts the tokens are fetched, changes no number.
  const { name: _, chunks: __, ...tokens } = corpus;
  const idWith = (coded: Pick<RunSpec, "codecs">): string => {
    const named = arithmetic === "exact" ? { ...mathematics, arithmetic, ...coded } : mathematics;
    const digest = createHash("sha256").update(JSON.stringify({ ...named, corpus: tokens }));
    return `train-${digest.digest("hex").slice(0, 16)}`;
  };
  const its = before === null || !keepsCodecs ? null : codecsPart(arithmetic, before.codecs ?? AS_THEY_ARE);
  const coded = its !== null && idWith(its) === before?.runId ? its : codecsPart(arithmetic, codecs);
  return {
    ...mathematics,
    arithmetic,
    kernels: kernelsFor(arithmetic, mathematics.model),
    ...coded,
    runId: idWith(coded),
    name: `${basename(path)} on ${corpus.name}`.slice(0, 120),
    steps,
    evaluateEverySteps: Math.max(10, Math.ceil(steps / 20)),
    evaluationMicroBatches: 4,
    // Some on the way and one at the end: an interruption loses what came after the last.
    checkpointEverySteps: Math.max(1, Math.min(20, Math.ceil(steps / 5))),
  };
}

/** @throws Failure where the text is too short for a micro-batch */
export function mustBeLongEnough({ seed, batch, sequence }: RunSpec, { tokens, corpus }: TrainingData): void {
  const { trainingTokens } = corpus;
  const shape = { seed, batch, sequence, corpusTokens: tokens, trainingTokens };
  trainingOffsets({ ...shape, step: 0, microBatch: 0 });
  heldOutOffsets({ ...shape, index: 0 });
}
