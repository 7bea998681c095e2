import type { DaemonState } from "../../src-protocol/state.ts";

/** Every loss of a computer costs a step or two, which nobody has to hear of. */
const FEW_STEPS = 2;

/** Lines for a person about what has just changed. Pure, so that each can be read off in a test. */
export function activityBetween(before: DaemonState, after: DaemonState, reason: string): string[] {
  const lines: string[] = [];
  const was = before.run;
  const is = after.run;
  if (before.decision.action !== after.decision.action) lines.push(reason);
  if (is === null) return lines;
  if (was?.phase !== is.phase) {
    if (is.phase === "training")
      lines.push(is.step === 0 ? "Training has started." : `Training goes on from step ${is.step}.`);
    if (is.phase === "finished") lines.push(`Training has finished at step ${is.step}.`);
    if (
      is.phase !== "training" &&
      was?.phase === "training" &&
      after.decision.action === "run" &&
      is.phase !== "finished"
    )
      lines.push(`Training is interrupted: ${is.detail}`);
  }
  if (was !== null && is.runId === was.runId && was.step - is.step > FEW_STEPS)
    lines.push(
      `${was.step - is.step} steps are done again: step ${is.step} is the newest that all slices could be brought back to.`,
    );
  if (was !== null && is.recoveries > was.recoveries && is.lastRecoveryMs !== null)
    lines.push(`A lost computer was replaced in ${(is.lastRecoveryMs / 1000).toFixed(1)} s.`);
  return lines;
}
