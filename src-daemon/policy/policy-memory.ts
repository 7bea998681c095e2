import type { Decision, Evidence, Rules } from "../../src-protocol/policy.ts";

/** So many starts after an interruption in an hour, and the next one waits. */
export const MOST_STARTS = 6;
const HOUR_MS = 3_600_000;

/**
 * What a decision has to know of the ones before it: on which side of two thresholds a value was last,
 * and how often work has started after an interruption.
 */
export interface PolicyMemory {
  readonly batteryLow: boolean;
  readonly tooHot: boolean;
  readonly othersBusy: boolean;
  /** It worked until now: whoever works is not stopped for having been interrupted. */
  readonly running: boolean;
  /** Unix ms of the starts in the last hour that no hand and no clock has made, oldest first. */
  readonly starts: readonly number[];
}

export const NOTHING_REMEMBERED: PolicyMemory = {
  batteryLow: false,
  tooHot: false,
  othersBusy: false,
  running: false,
  starts: [],
};

/** The thresholds, seen from where each value was before. */
export function remember(rules: Rules, evidence: Evidence, before: PolicyMemory, now: number): PolicyMemory {
  return {
    ...before,
    batteryLow: batteryLow(rules, evidence, before.batteryLow),
    tooHot: tooHot(rules, evidence, before.tooHot),
    othersBusy: between(evidence.othersLoad, rules.load, before.othersBusy),
    // A clock that was set back must not keep it waiting for longer than an hour.
    starts: before.starts.filter((at) => at <= now && now < at + HOUR_MS),
  };
}

/** After a decision: is it a start that only evidence has made? */
export function afterDecision(
  { action, reasons }: Decision,
  memory: PolicyMemory,
  now: number,
  wasInterrupted: boolean,
): PolicyMemory {
  const running = action === "run";
  const byHand = reasons.includes("manual-run") || reasons.includes("finishing");
  const isStart = running && !memory.running && wasInterrupted && !byHand;
  return {
    ...memory,
    running,
    starts: isStart ? [...memory.starts, now].slice(-MOST_STARTS) : memory.starts,
  };
}

/** Until when another start has to wait; null: it need not. */
export function waitsUntil({ starts, running }: PolicyMemory, now: number): number | null {
  const [oldest] = starts.slice(-MOST_STARTS);
  if (running || oldest === undefined || starts.length < MOST_STARTS) return null;
  return oldest + HOUR_MS > now ? oldest + HOUR_MS : null;
}

function batteryLow({ battery }: Rules, { power, batteryPercent }: Evidence, before: boolean): boolean {
  if (battery === null || power === "mains" || batteryPercent === null) return false;
  if (batteryPercent < battery.stopBelow) return true;
  return batteryPercent < battery.startFrom && before;
}

function tooHot({ heat }: Rules, { celsius, thermal }: Evidence, before: boolean): boolean {
  if (heat === null) return false;
  if (thermal === "serious" || thermal === "critical") return true;
  const byDegrees = between(celsius, heat, before);
  return celsius === null ? before && thermal === "fair" : byDegrees;
}

function between(
  value: number | null,
  guard: { readonly stopFrom: number; readonly startBelow: number } | null,
  before: boolean,
): boolean {
  if (guard === null || value === null) return false;
  if (value >= guard.stopFrom) return true;
  return value >= guard.startBelow && before;
}
