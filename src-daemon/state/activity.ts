import type { ActivityKind, DaemonState } from "../../src-protocol/state.ts";

interface Line {
  readonly kind: ActivityKind;
  readonly text: string;
}

/** Every loss of a computer costs a step or two, which nobody has to hear of. */
const FEW_STEPS = 2;

/** Lines for a person about what has just changed. Pure, so that each can be read off in a test. */
export function activityBetween(before: DaemonState, after: DaemonState, reason: string): Line[] {
  const lines: Line[] = [];
  const work = (text: string): void => void lines.push({ kind: "work", text });
  const was = before.run;
  const is = after.run;
  if (before.decision.action !== after.decision.action)
    lines.push({ kind: isByHand(before, after) ? "hand" : "work", text: reason });
  if (is === null) return lines;
  if (was?.phase !== is.phase) {
    if (is.phase === "training")
      work(is.step === 0 ? "Training has started." : `Training goes on from step ${is.step}.`);
    if (is.phase === "finished") work(`Training has finished at step ${is.step}.`);
    if (
      is.phase !== "training" &&
      was?.phase === "training" &&
      after.decision.action === "run" &&
      is.phase !== "finished"
    )
      work(`Training is interrupted: ${is.detail}`);
  }
  if (was !== null && is.runId === was.runId && was.step - is.step > FEW_STEPS)
    work(
      `${was.step - is.step} steps are done again: step ${is.step} is the newest that all slices could be brought back to.`,
    );
  if (was !== null && is.recoveries > was.recoveries && is.lastRecoveryMs !== null)
    work(`A lost computer was replaced in ${(is.lastRecoveryMs / 1000).toFixed(1)} s.`);
  return lines;
}

/** Somebody has just paused or started it; when that time is over, the rules decide again. */
function isByHand({ override: was }: DaemonState, { override: is }: DaemonState): boolean {
  return is !== null && is.since !== was?.since;
}
