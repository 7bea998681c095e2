import {
  type Decision,
  type Evidence,
  FINISH_WITHIN_MS,
  type Override,
  REASONS,
  type ReasonCode,
  type Rules,
} from "../../src-protocol/policy.ts";
import { HORIZON_DAYS, hoursOfRules, inWindow, nextBoundary, nextEdge } from "../../src-protocol/windows.ts";
import { monthAfter } from "../../src-protocol/zone.ts";
import { dataUsedUp, evidenceReasons } from "./evidence-reasons.ts";
import { NOTHING_REMEMBERED, type PolicyMemory, waitsUntil } from "./policy-memory.ts";

const CODES = Object.keys(REASONS) as ReasonCode[];
const HORIZON_MS = HORIZON_DAYS * 86_400_000;

/** Of the reasons that apply the strongest decides; the table is in that order. */
function verdict(reasons: readonly ReasonCode[]): Decision["action"] {
  const strongest = CODES.find((code) => reasons.includes(code));
  return strongest === undefined ? "pause" : REASONS[strongest].verdict;
}

function isOver(override: Override, at: number): boolean {
  return override.until !== null && at >= override.until;
}

function manualReason({ action, by, since }: Override, at: number): ReasonCode {
  if (action === "run") return by === "agent" ? "agent-run" : "manual-run";
  if (action === "finish" && at < since + FINISH_WITHIN_MS) return "finishing";
  return by === "agent" ? "agent-pause" : "manual-pause";
}

/**
 * Run or pause, and why: a pure function of what the owner wants, what is known, and what was before.
 * `now` is in Unix ms; `zone` is the computer's own, used where the rules name none. An override
 * past its end counts as none. `nextChange` looks 14 days ahead with the evidence as it is.
 */
export function decide(
  rules: Rules,
  evidence: Evidence,
  override: Override | null,
  now: number,
  zone: string,
  memory: PolicyMemory = NOTHING_REMEMBERED,
): Decision {
  const where = rules.timeZone ?? zone;
  const hours = hoursOfRules(rules);
  const known = evidenceReasons(rules, evidence, memory);
  const waits = waitsUntil(memory, now);
  const usedUpUntil = dataUsedUp(rules, evidence) ? monthAfter(where, now) : null;

  const reasons = reasonsAt(now);
  const action = verdict(reasons);
  const applying = CODES.filter((code) => reasons.includes(code));
  return {
    action,
    reasons: [
      ...applying.filter((code) => REASONS[code].verdict === action),
      ...applying.filter((code) => REASONS[code].verdict !== action),
    ],
    nextChange: nextChange(),
  };

  /** With the evidence as it is now; only what time alone changes is looked at anew. */
  function reasonsAt(at: number): ReasonCode[] {
    const found = [...known, scheduleReason(at)];
    if (waits !== null && at < waits) found.push("often-interrupted");
    if (usedUpUntil !== null && at < usedUpUntil) found.push("data-used-up");
    if (override !== null && !isOver(override, at)) found.push(manualReason(override, at));
    return found;
  }

  function scheduleReason(at: number): ReasonCode {
    if (!inWindow(hours, where, at)) return "outside-schedule";
    return rules.schedule === "always" ? "always-allowed" : "inside-schedule";
  }

  function nextChange(): Decision["nextChange"] {
    // What evidence holds back, time does not let go; a start by hand may, once what is stronger than it is over.
    const mayStart = override !== null && override.action !== "pause";
    if (action === "pause" && !mayStart && known.some((code) => REASONS[code].verdict === "pause"))
      return null;
    for (let at = nextMoment(now); at !== null; at = nextMoment(at)) {
      const then = verdict(reasonsAt(at));
      if (then !== action) return { at, action: then };
    }
    return null;
  }

  function nextMoment(after: number): number | null {
    const moments = [
      ...(override === null ? [] : endsOf(override)),
      waits,
      usedUpUntil,
      hasHours(rules) ? (nextBoundary(hours, where, after)?.at ?? null) : null,
    ].filter((at) => at !== null && at > after && at <= now + HORIZON_MS) as number[];
    return moments.length === 0 ? null : Math.min(...moments);
  }
}

/** False: the time of day decides nothing. */
function hasHours({ schedule, exceptions }: Rules): boolean {
  return schedule === "windows" || exceptions.length > 0;
}

function endsOf({ action, since, until }: Override): (number | null)[] {
  return action === "finish" ? [since + FINISH_WITHIN_MS, until] : [until];
}

/** The next moment at which time alone changes a reason or a limit, so the decision has to be made again. */
export function nextReview(
  rules: Rules,
  override: Override | null,
  now: number,
  zone: string,
  memory: PolicyMemory = NOTHING_REMEMBERED,
): number | null {
  const where = rules.timeZone ?? zone;
  const moments = [
    ...(override === null ? [] : endsOf(override)),
    waitsUntil(memory, now),
    rules.monthlyMegabytes === null ? null : monthAfter(where, now),
    hasHours(rules) ? nextEdge(hoursOfRules(rules), where, now) : null,
  ].filter((at) => at !== null && at > now) as number[];
  return moments.length === 0 ? null : Math.min(...moments);
}
