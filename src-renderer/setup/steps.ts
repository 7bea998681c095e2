import { say } from "../../src-protocol/say.ts";
import type { FailureBody } from "../../src-protocol/failure.ts";
import type { NetworkOffer } from "../../src-protocol/networks.ts";
import { inMode } from "../schedule/schedule-mode.ts";
import { ALWAYS, type Rules } from "../../src-protocol/policy.ts";

/** The steps of the set-up, in their order. Each asks one thing; all of it is changed later in the dashboard. */
export const STEPS = ["welcome", "computer", "when", "key", "network", "summary"] as const;
export type Step = (typeof STEPS)[number];

/** For whom this computer is to work. */
export type Where =
  | { readonly kind: "alone" }
  | { readonly kind: "network"; readonly invitation: string; readonly offer: NetworkOffer };

export interface SetUpDraft {
  readonly rules: Rules;
  readonly where: Where;
}

/** What is suggested: at night, on power, and nowhere but here. */
export const SUGGESTED: SetUpDraft = { rules: inMode(ALWAYS, "asleep"), where: { kind: "alone" } };

export function stepBefore(step: Step): Step {
  return STEPS[Math.max(0, STEPS.indexOf(step) - 1)] ?? "welcome";
}

export function stepAfter(step: Step): Step {
  return STEPS[Math.min(STEPS.length - 1, STEPS.indexOf(step) + 1)] ?? "summary";
}

/** Bytes that one parameter of a slice takes while it trains: itself, its gradient and two of AdamW, in float32. */
const BYTES_PER_PARAMETER = 16;

/** The largest slice that half of the memory holds, in parameters. Activations come on top: that is the other half. */
export function largestSlice(memoryBytes: number): number {
  return Math.floor(memoryBytes / 2 / BYTES_PER_PARAMETER);
}

/** Six operations for each parameter and token, forward and backward (Kaplan et al. 2020, section 2.1). */
export function tokensPerSecond(gflops: number, parameters: number): number {
  return (gflops * 1e9) / (6 * parameters);
}

/** The rules can be stored as they are; else what is wrong with them. */
export function rulesProblem(rules: Rules): FailureBody | null {
  if (rules.schedule === "windows" && rules.windows.length === 0)
    return { code: "no-hours", message: say("Choose at least one hour, or another of the three choices.") };
  return null;
}
