import { KERNELS } from "../src-protocol/arithmetic.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import { digestPeriod } from "../src-protocol/state-chain.ts";
import { Compute } from "../src-worker/compute/compute.ts";
import { stateDigestOf } from "../src-worker/stage/stage-chain.ts";
import { stageBytes } from "../src-worker/stage/stage-memory.ts";
import type { Progress } from "./bench.ts";
import { cpuClock, interleave } from "./interleave.ts";
import { median } from "./median.ts";

const SHAPE = { batch: 4, sequence: 128, microBatches: 8 };
const ROUNDS = 6;

export interface ChainResult {
  parameters: number;
  /** The whole state goes into the chain every so many steps. */
  digestEverySteps: number;
  /** CPU time of one step, and of one digest. */
  stepMs: number;
  digestMs: number;
  /** What hashing adds to a training: median of the rounds' own shares. */
  shareOfTraining: number;
}

/** What the chain of digests costs: hashing a stage's whole state, against the steps between two digests. */
export async function benchChain(progress: Progress): Promise<ChainResult> {
  const compute = new Compute({ threads: 1, executionProvider: "cpu", niceness: null });
  try {
    const spec = { model: DEFAULT_MODEL, ...SHAPE, stages: 1, stage: 0 };
    const exactClass = { arithmetic: "exact", kernels: KERNELS.exact } as const;
    const { answer: info } = await compute.call("open", { spec: { ...spec, ...exactClass }, file: null });
    const memory = new SharedArrayBuffer(stageBytes(info));
    await compute.call("load", { memory, seed: 1, recompute: "full" });
    const tokens = Int32Array.from({ length: SHAPE.batch * SHAPE.sequence }, (_, i) => (i * 7) % 256);
    let steps = 0;
    const step = async (): Promise<void> => {
      for (let i = 0; i < SHAPE.microBatches; i++)
        await compute.call("tail", { x: null, data: { tokens, targets: tokens } });
      const { microBatches } = SHAPE;
      await compute.call("optimise", { optimizer: DEFAULT_OPTIMIZER, step: steps, microBatches });
      steps += 1;
      progress(`step ${steps}`);
    };
    const digest = (): Promise<string> => stateDigestOf(memory);
    const times = await interleave(
      { step, digest },
      { warmUp: 1, rounds: ROUNDS, seconds: 60, clock: cpuClock },
    );
    const every = digestPeriod(SHAPE);
    const shares = times.step.map((ms, i) => (times.digest[i] ?? 0) / (ms * every));
    return {
      parameters: info.parameterCount,
      digestEverySteps: every,
      stepMs: Number(median(times.step).toFixed(1)),
      digestMs: Number(median(times.digest).toFixed(1)),
      shareOfTraining: Number(median(shares).toFixed(4)),
    };
  } finally {
    await compute.close();
  }
}
