import {
  type Decision,
  type Evidence,
  type Override,
  REASONS,
  type ReasonCode,
  type Rules,
} from "../../src-protocol/policy.ts";
import { HORIZON_DAYS, inWindow, nextBoundary } from "../../src-protocol/windows.ts";

const CODES = Object.keys(REASONS) as ReasonCode[];
const HORIZON_MS = HORIZON_DAYS * 86_400_000;

/** The reasons that evidence gives; a rule that is off gives none. Unknown counts against running. */
function evidenceReasons(rules: Rules, evidence: Evidence): ReasonCode[] {
  const reasons: ReasonCode[] = [];
  if (rules.onlyOnPower) {
    const { power } = evidence;
    reasons.push(power === "mains" ? "on-power" : power === "battery" ? "on-battery" : "power-unknown");
  }
  if (rules.onlyWhenIdle) {
    const idle = evidence.idleSeconds;
    if (idle === null) reasons.push("idle-unknown");
    else reasons.push(idle < rules.idleMinutes * 60 ? "in-use" : "not-in-use");
  }
  return reasons;
}

function scheduleReason(rules: Rules, at: number, zone: string): ReasonCode {
  if (rules.schedule === "always") return "always-allowed";
  return inWindow(rules.windows, zone, at) ? "inside-schedule" : "outside-schedule";
}

const pauses = (code: ReasonCode): boolean => REASONS[code].verdict === "pause";

/** Of the reasons that apply the strongest decides; the table is in that order. */
function verdict(reasons: readonly ReasonCode[]): Decision["action"] {
  const strongest = CODES.find((code) => reasons.includes(code));
  return strongest === undefined ? "pause" : REASONS[strongest].verdict;
}

/**
 * Run or pause, and why: a pure function of what the owner wants and what is known.
 * `now` is in Unix ms; `zone` is the computer's own, used where the rules name none. An override
 * past its end counts as none. `nextChange` looks 14 days ahead with the evidence as it is.
 */
export function decide(
  rules: Rules,
  evidence: Evidence,
  override: Override | null,
  now: number,
  zone: string,
): Decision {
  const where = rules.timeZone ?? zone;
  const manual = override !== null && now < override.until ? override : null;
  const known = evidenceReasons(rules, evidence);
  const reasons = [...known, scheduleReason(rules, now, where)];
  if (manual !== null) reasons.push(manual.action === "pause" ? "manual-pause" : "manual-run");

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

  function nextChange(): Decision["nextChange"] {
    let at = now;
    if (manual !== null) {
      at = manual.until;
      if (at > now + HORIZON_MS) return null;
      const after = verdict([...known, scheduleReason(rules, at, where)]);
      if (after !== action) return { at, action: after };
    }
    // From `at` on there is no override, and only the windows depend on time.
    if (rules.schedule === "always" || known.some(pauses)) return null;
    const boundary = nextBoundary(rules.windows, where, at);
    if (boundary === null || boundary.at > now + HORIZON_MS) return null;
    return { at: boundary.at, action: boundary.opens ? "run" : "pause" };
  }
}

/** The next moment at which time alone changes a reason, so the decision has to be made again. */
export function nextReview(
  rules: Rules,
  override: Override | null,
  now: number,
  zone: string,
): number | null {
  const moments: number[] = [];
  if (override !== null && override.until > now) moments.push(override.until);
  if (rules.schedule === "windows") {
    const boundary = nextBoundary(rules.windows, rules.timeZone ?? zone, now);
    if (boundary !== null) moments.push(boundary.at);
  }
  return moments.length === 0 ? null : Math.min(...moments);
}
