import type { MicroBatchShape } from "../src-engine/llama.ts";
import type { LlamaSpec } from "../src-protocol/model.ts";
import { loadRuntime } from "../src-worker/compute/sessions.ts";
import { StageCompute } from "../src-worker/compute/stage-compute.ts";
import { stageBytes, stageMemory } from "../src-worker/stage/stage-memory.ts";
import { OPTIMIZER } from "./tfjs-trainee.ts";
import type { Trainee } from "./tfjs-trainee.ts";

/** The engine's: what a worker's compute thread runs, with the whole model as its stage. */
export async function ownTrainee(
  threads: number,
  model: LlamaSpec,
  shape: MicroBatchShape,
  seed: number,
): Promise<Trainee> {
  const runtime = await loadRuntime();
  const load = async () => {
    const compute = new StageCompute(runtime, { threads, executionProvider: "cpu", niceness: null });
    const spec = { model, stages: 1, stage: 0, ...shape };
    const stage = await compute.open({ spec, file: null });
    const memory = new SharedArrayBuffer(stageBytes(stage));
    await compute.load({ memory, seed, recompute: "full" });
    let step = 0;
    return {
      step: async (data: Parameters<Trainee["step"]>[0]): Promise<number> => {
        const { loss } = await compute.tail({ x: null, data });
        await compute.optimise({ optimizer: OPTIMIZER, step: step++, microBatches: 1 });
        return loss;
      },
      moments: (): (readonly [string, Float32Array])[] => {
        const { m } = stageMemory(stage, memory);
        return stage.parameters.map(({ name }, i) => [name, m[i] ?? new Float32Array()]);
      },
    };
  };
  const trainee = await load();
  return {
    step: trainee.step,
    gradients: async (batch) => {
      // The compute thread keeps its gradients to itself; the first step's moment is (1−β₁)·gradient.
      const once = await load();
      await once.step(batch);
      return new Map(
        once
          .moments()
          .map(([name, m]) => [name, Float32Array.from(m, (each) => each / (1 - OPTIMIZER.beta1))]),
      );
    },
  };
}
