import { createHash } from "node:crypto";
import { type Arithmetic, DEFAULT_ARITHMETIC, kernelsFor } from "../../src-protocol/arithmetic.ts";
import { codecsPart } from "../../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../../src-protocol/link-codecs.ts";
import { DEFAULT_OPTIMIZER } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { MODEL_SIZES } from "../../src-protocol/run-size.ts";
import type { Dealt, ModelSize } from "../../src-protocol/run-size.ts";

export const EMBEDDED_NETWORK = "embedded";
const SEED = 1;

export interface RunRequest {
  readonly corpus: Omit<RunSpec["corpus"], "tokenBytes">;
  readonly size: ModelSize;
  readonly steps: number | null;
  /** Processes that can hold a stage. */
  readonly workers: number;
  /** Not given: one's own computer's. */
  readonly arithmetic?: Arithmetic;
  /** Of its links; not given: values travel as they are. */
  readonly codecs?: LinkCodecs;
  /** How a step's sequences are dealt; not given: as usual for the size. */
  readonly dealt?: Dealt;
}

/**
 * The embedded network's run. Its id names what is computed: the same text and model go on where
 * they were, anything else is a run of its own and disturbs no other. How long it shall go on
 * (`steps`) is not part of that.
 */
export function planRun({
  corpus,
  size,
  steps,
  workers,
  arithmetic = DEFAULT_ARITHMETIC.ownComputer,
  codecs,
  dealt = MODEL_SIZES[size],
}: RunRequest): RunSpec {
  const { model, sequence, checkpointEverySteps } = MODEL_SIZES[size];
  const { batch, microBatches } = dealt;
  const mathematics = {
    model,
    stages: Math.max(1, Math.min(model.blocks, workers)),
    batch,
    sequence,
    microBatches,
    optimizer: DEFAULT_OPTIMIZER,
    seed: SEED,
    corpus: {
      sha256: corpus.sha256,
      bytes: corpus.bytes,
      tokenBytes: 1 as const,
      ...(corpus.trainingTokens === undefined ? {} : { trainingTokens: corpus.trainingTokens }),
    },
  };
  const coded = codecsPart(arithmetic, codecs);
  // A fast run may go on in another codec, as it may on other computers.
  const named = arithmetic === "fast" ? mathematics : { ...mathematics, arithmetic, ...coded };
  const id = createHash("sha256").update(JSON.stringify(named)).digest("hex").slice(0, 16);
  return {
    ...mathematics,
    arithmetic,
    kernels: kernelsFor(arithmetic, model),
    ...coded,
    runId: `run-${id}`,
    name: `A small language model on ${corpus.name}`.slice(0, 120),
    corpus: {
      ...mathematics.corpus,
      name: corpus.name.slice(0, 200),
      ...(corpus.chunks === undefined ? {} : { chunks: corpus.chunks }),
    },
    steps,
    evaluateEverySteps: 10,
    evaluationMicroBatches: 4,
    checkpointEverySteps,
  };
}

/** The computer's cores are shared out, but every worker has one. */
export function threadsPerWorker(cores: number, workers: number): number {
  return Math.max(1, Math.floor(cores / Math.max(1, workers)));
}
