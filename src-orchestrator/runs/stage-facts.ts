import { leastKept } from "../../src-engine/recompute.ts";
import { sumValues, tiedValues } from "../../src-engine/replica-memory.ts";
import { stagesOf, tiesOf } from "../../src-engine/stages.ts";
import { trainingBytes } from "../../src-engine/training-memory.ts";
import type { RunSpec } from "../../src-protocol/model.ts";

/** What the orchestrator has to know of a stage: what it pays, what it shows, and who can hold it. */
export interface StageFacts {
  readonly parameterCount: number;
  /** Those that no earlier stage holds: a tied parameter counts once in the model. */
  readonly newParameterCount: number;
  /** Whether other stages hold some of them, too. */
  readonly isTied: boolean;
  /** Counted for one micro-batch, forward and backward, without what is computed again. */
  readonly flops: number;
  /** The most that training it takes alone, when as little as can be is kept between forward and backward. */
  readonly memoryBytes: number;
  /** See `SharedStage`: by them its replicas' memory is counted. */
  readonly sumValues: number;
  readonly tiedValues: number;
  /** Bytes that go up for one micro-batch, and as many that come down: `y` and `dx`. */
  readonly boundaryBytes: number;
}

/**
 * `file`: the model's, where the run's model is one.
 *
 * @throws Failure of `stagesOf`: `too-many-stages`, and whatever is wrong with the model
 */
export function stageFacts(run: RunSpec, file: Uint8Array | null): StageFacts[] {
  const seen = new Set<string>();
  const stages = stagesOf(run, file);
  const ties = new Set(tiesOf(stages).map(({ name }) => name));
  const given = tiedValues(stages);
  return stages.map((stage) => {
    const { parameters, parameterCount, flops, boundaryBytes } = stage;
    const fresh = parameters.filter(({ name }) => !seen.has(name));
    for (const { name } of fresh) seen.add(name);
    return {
      parameterCount,
      isTied: parameters.some(({ name }) => ties.has(name)),
      newParameterCount: fresh.reduce((sum, { size }) => sum + size, 0),
      flops: flops.forward + flops.backward,
      memoryBytes: trainingBytes(stage, leastKept(run.arithmetic)),
      sumValues: sumValues(stage),
      tiedValues: given,
      boundaryBytes: boundaryBytes.in + boundaryBytes.out,
    };
  });
}
