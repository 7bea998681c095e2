import type { RunSpec } from "../../src-protocol/model.ts";
import { Compute } from "../compute/compute.ts";
import { memoryCorpus } from "../corpus/corpus-reader.ts";
import { samplesOf } from "../stage/stage-samples.ts";
import { parametersIn, stageBytes } from "../stage/stage-memory.ts";

export interface SingleOptions {
  readonly spec: RunSpec;
  readonly corpus: Uint8Array;
  /** The model's, for a model that has one. */
  readonly file?: Uint8Array | null;
  /** Paths of the files of a decoder. */
  readonly files?: readonly string[];
  readonly steps: number;
  readonly threads: number;
  /** `weights`: the model's parameters as they are then, by name; views, not copies. */
  readonly onStep?: (step: SingleStep, weights: () => ReadonlyMap<string, Float32Array>) => void;
  /** Whether to measure the held-out loss with the parameters of this step. */
  readonly evaluateAt?: (step: number) => boolean;
}

export interface SingleStep {
  /** Steps taken, so 1 after the first; as the pipeline reports it. */
  readonly step: number;
  /** Mean over the step's micro-batches, in nats per token. */
  readonly loss: number;
  /** Of the parameters before this step; null when it was not measured. */
  readonly heldOutLoss: number | null;
  readonly ms: number;
}

/** The run's model trained in one process without links: what the pipeline must equal, and what its speed is a share of. */
export async function trainSingle(options: SingleOptions): Promise<SingleStep[]> {
  const done: SingleStep[] = [];
  for await (const step of singleSteps(options)) done.push(step);
  return done;
}

/** As it is asked for; who asks no more says so (`return`), and the compute thread ends. */
export async function* singleSteps(options: SingleOptions): AsyncGenerator<SingleStep, void, undefined> {
  const { spec, corpus, file = null, files = [], steps, threads, onStep, evaluateAt } = options;
  const compute = new Compute({ threads, executionProvider: "cpu", niceness: null });
  const samples = samplesOf(spec, memoryCorpus(corpus));
  try {
    const { answer: stage } = await compute.call("open", { spec: { ...spec, stages: 1, stage: 0 }, file });
    const memory = new SharedArrayBuffer(stageBytes(stage));
    await compute.call("load", { memory, seed: spec.seed, recompute: "full", files });
    for (let step = 0; step < steps; step++) {
      const begun = performance.now();
      let heldOutLoss: number | null = null;
      if (evaluateAt?.(step) === true) {
        heldOutLoss = await mean(spec.evaluationMicroBatches, async (microBatch) => {
          return (
            await compute.call("loss", {
              x: null,
              data: await samples({ pass: "evaluate", step, microBatch }),
            })
          ).answer.loss;
        });
      }
      const loss = await mean(spec.microBatches, async (microBatch) => {
        return (
          await compute.call("tail", { x: null, data: await samples({ pass: "forward", step, microBatch }) })
        ).answer.loss;
      });
      await compute.call("optimise", { optimizer: spec.optimizer, step, microBatches: spec.microBatches });
      const finished = { step: step + 1, loss, heldOutLoss, ms: performance.now() - begun };
      onStep?.(finished, () => new Map(parametersIn(stage, memory)));
      yield finished;
    }
  } finally {
    await compute.close();
  }
}

async function mean(count: number, measure: (index: number) => Promise<number>): Promise<number> {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += await measure(i);
  return sum / count;
}
