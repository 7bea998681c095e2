import type { Recompute } from "../src-engine/recompute.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import { Compute } from "../src-worker/compute/compute.ts";
import { predictedBytes } from "../src-worker/stage/memory-budget.ts";
import { stageBytes } from "../src-worker/stage/stage-memory.ts";

/** Child of the memory benchmark: one stage in a process of its own, trained as a worker does. */
export interface MemoryCase {
  width: number;
  hidden: number;
  /** Of the stage. */
  blocks: number;
  tokens: number;
  recompute: Recompute;
  threads: number;
}

export interface MemoryStage {
  parameters: number;
  /** What the program said before: the whole process, the part of it that is activations, and the program's own. */
  predictedBytes: number;
  activationBytes: number;
  programBytes: number;
  /** Peak resident set, after each step. */
  peakRssBytes: number;
  msPerStep: number;
}

const MICRO_BATCHES = 3;
const stageCase = JSON.parse(process.argv[2] ?? "{}") as MemoryCase;
const { width, hidden, blocks, tokens, recompute, threads } = stageCase;
const model = { ...DEFAULT_MODEL, width, hidden, heads: width / 64, blocks: 3 * blocks };
const spec = { model, batch: 1, sequence: tokens, stages: 3, stage: 1 };
const compute = new Compute({ threads, executionProvider: "cpu", niceness: null });
const { answer: info } = await compute.call("open", { spec, file: null });
await compute.call("load", { memory: new SharedArrayBuffer(stageBytes(info)), seed: 1, recompute });

const activations = (): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: tokens * width }, (_, i) => Math.sin(i));

async function step(): Promise<MemoryStage> {
  const begun = performance.now();
  for (let microBatch = 0; microBatch < MICRO_BATCHES; microBatch++) {
    const x = activations();
    await compute.call("forward", { microBatch, x, data: {}, keep: true }, [x.buffer]);
    const dy = activations();
    await compute.call("backward", { microBatch, dy }, [dy.buffer]);
  }
  await compute.call("optimise", { optimizer: DEFAULT_OPTIMIZER, step: 0, microBatches: MICRO_BATCHES });
  const { peakBytes } = info.memory[recompute];
  // One micro-batch is under way here.
  const predicted = predictedBytes({ ...info, isTail: true, arithmetic: "fast", replicaBytes: 0 }, recompute);
  return {
    parameters: info.parameterCount,
    predictedBytes: predicted,
    activationBytes: peakBytes - 20 * info.parameterCount,
    programBytes: predicted - peakBytes,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    msPerStep: performance.now() - begun,
  };
}

process.on("message", () => void step().then((measured) => process.send?.(measured)));
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
