import type { Redone, ReplicaRun } from "../replicas/replica-run.ts";
import type { NetworkState } from "./network-state.ts";

/** What a generation with replicas had done of a step when it was given up. */
export interface GivenUp {
  readonly step: number;
  /** Micro-batches, by stage. */
  readonly counted: readonly number[];
  /** Of these nobody is left. */
  readonly lost: ReadonlySet<number>;
}

export function givenUp({ book }: ReplicaRun): GivenUp {
  return {
    step: book.step,
    counted: book.stages.map(({ cells }) => cells.counted),
    lost: new Set(book.stages.flatMap(({ live }, stage) => (live.size === 0 ? [stage] : []))),
  };
}

/**
 * What of it is done again by a generation that goes on from this step: of finished ones, all. The next one may have to
 * go further back.
 */
export function redoneFrom(
  { givenUp: open, redone, run }: Pick<NetworkState, "givenUp" | "redone" | "run">,
  resumeStep: number,
): Pick<NetworkState, "givenUp" | "redone"> {
  if (open === null || resumeStep > open.step) return { givenUp: open, redone };
  const finished = (open.step - resumeStep) * run.microBatches;
  let { byLostStages, byOthers } = redone;
  for (const [stage, count] of open.counted.entries())
    if (open.lost.has(stage)) byLostStages += count + finished;
    else byOthers += count + finished;
  const left = { ...open, step: resumeStep, counted: open.counted.map(() => 0) };
  return { givenUp: left, redone: { byLostStages, byOthers } };
}

/** In all generations since the orchestrator started; null: none of them had replicas. */
export function redoneInAll({ team, redone }: Pick<NetworkState, "team" | "redone">): Redone | null {
  const now = team?.run?.redone;
  if (now !== undefined) return plus(redone, now);
  return redone.byLostStages + redone.byOthers === 0 ? null : redone;
}

export function plus(a: Redone, b: Redone): Redone {
  return { byLostStages: a.byLostStages + b.byLostStages, byOthers: a.byOthers + b.byOthers };
}
