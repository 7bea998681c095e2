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

/** The newest first. */
export function completeCheckpoints(stages: readonly StageCheckpoints[]): readonly CompleteCheckpoint[] {
  return completeSteps(stages)
    .sort((a, b) => b - a)
    .map((step) => ({ step, stages: stages.flatMap((stage) => stage.get(step) ?? []) }));
}

/** Up to `limit`. */
export function newestCompleteStep(stages: readonly StageCheckpoints[], limit = Infinity): number | null {
  const complete = completeSteps(stages).filter((step) => step <= limit);
  return complete.length === 0 ? null : Math.max(...complete);
}

function completeSteps([first, ...others]: readonly StageCheckpoints[]): number[] {
  return [...(first?.keys() ?? [])].filter((step) => others.every((stage) => stage.has(step)));
}
