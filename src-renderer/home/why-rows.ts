import type { Decision, ReasonCode } from "../../src-protocol/policy.ts";
import { whyReasons } from "../../src-protocol/why.ts";

export interface WhyRow {
  readonly code: ReasonCode;
  /** `check`: speaks for running. `wait`: keeps it from running. `over`: would, but something stronger decides. */
  readonly mark: "check" | "wait" | "over";
  readonly text: string;
}

/** All reasons, those that decide first. */
export function whyRows(decision: Decision): WhyRow[] {
  return whyReasons(decision).map(({ code, verdict, decides, text }) => ({
    code,
    mark: verdict === "run" ? "check" : decides ? "wait" : "over",
    text,
  }));
}
