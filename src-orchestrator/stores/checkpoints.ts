/** A stage's state of one step in the content-addressed store. */
export interface Checkpoint {
  readonly sha256: string;
  readonly bytes: number;
}

/** The stored checkpoints of one stage, by step. */
export type StageCheckpoints = ReadonlyMap<number, Checkpoint>;

export const CHECKPOINTS_PER_STAGE = 3;

/**
 * Which steps each stage keeps: its newest three, the newest step that every stage has, because
 * that is what the whole run can be brought back from, and the newest one that was proved to be good.
 */
export function keptSteps(stages: readonly StageCheckpoints[], proved: number | null): Set<number>[] {
  const newestComplete = newestCompleteStep(stages);
  return stages.map((stage) => {
    const kept = new Set([...stage.keys()].sort((a, b) => b - a).slice(0, CHECKPOINTS_PER_STAGE));
    if (newestComplete !== null) kept.add(newestComplete);
    if (proved !== null) kept.add(proved);
    return kept;
  });
}

/** A step that every stage has stored. */
export interface CompleteCheckpoint {
  readonly step: number;
  /** In the order of the stages. */
  readonly stages: readonly Checkpoint[];
}

export function newestComplete(stages: readonly StageCheckpoints[]): CompleteCheckpoint | null {
  const step = newestCompleteStep(stages);
  return step === null ? null : { step, stages: stages.flatMap((stage) => stage.get(step) ?? []) };
}

/** Up to `limit`. */
export function newestCompleteStep(
  [first, ...others]: readonly StageCheckpoints[],
  limit = Infinity,
): number | null {
  const complete = [...(first?.keys() ?? [])].filter(
    (step) => step <= limit && others.every((stage) => stage.has(step)),
  );
  return complete.length === 0 ? null : Math.max(...complete);
}
