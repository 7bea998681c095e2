import { type Decision, REASONS, type ReasonCode } from "../../src-protocol/policy.ts";
import { clock } from "../parts/format.ts";

export interface WhyRow {
  readonly code: ReasonCode;
  /** `check`: speaks for running. `wait`: keeps it from running. */
  readonly mark: "check" | "wait";
  readonly text: string;
}

/** All reasons, those that decide first. */
export function whyRows(decision: Decision): WhyRow[] {
  return decision.reasons.map((code) => ({
    code,
    mark: REASONS[code].verdict === "run" ? "check" : "wait",
    text: REASONS[code].text.slice(0, 1).toUpperCase() + REASONS[code].text.slice(1),
  }));
}

/** What time alone will change next, in a sentence. */
export function nextChangeText(decision: Decision, now: number): string {
  const { nextChange, action } = decision;
  if (nextChange === null) {
    return action === "run"
      ? "Goes on until you pause it or a rule holds it back."
      : "Starts when the reason above goes away, or when you start it.";
  }
  const days = Math.round((startOfDay(nextChange.at) - startOfDay(now)) / 86_400_000);
  const day =
    days === 0
      ? ""
      : days === 1
        ? "tomorrow "
        : `${new Date(nextChange.at).toLocaleString("en-US", { weekday: "long" })} `;
  return `${nextChange.action === "run" ? "Starts" : "Pauses"} ${day}at ${clock(nextChange.at)}.`;
}

function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
