import type { DaemonState, HistoryPoint } from "../../src-protocol/state.ts";
import { gapBetween, ranSpans } from "./dial-geometry.ts";

export interface SessionNumbers {
  readonly tokens: number;
  /** Time in which steps were finished. */
  readonly workedMs: number;
  /** By how much the training loss fell; null before two steps. */
  readonly lossFell: number | null;
}

/** What happened since the daemon started. */
export function sessionNumbers(
  state: Pick<DaemonState, "startedAt" | "run">,
  points: readonly HistoryPoint[],
  now: number,
): SessionNumbers {
  const mine = points.filter(({ at }) => at >= state.startedAt);
  const first = mine[0];
  const last = mine.at(-1);
  if (first === undefined || last === undefined || state.run === null) {
    return { tokens: 0, workedMs: 0, lossFell: null };
  }
  const times = mine.map(({ at }) => at);
  const spans = ranSpans(times, now, 0, gapBetween(times));
  return {
    tokens: (last.step - first.step + 1) * state.run.tokensPerStep,
    workedMs: spans.reduce((sum, { start, end }) => sum + (end - start) * 60_000, 0),
    lossFell: mine.length < 2 ? null : first.loss - last.loss,
  };
}
