import type { Decision, Override } from "../../src-protocol/policy.ts";

/**
 * When this computer stops working, as far as its schedule, a manual start, an agent's lease or a gap say so
 * (Unix milliseconds); null: no end is known, or it does not work. Evidence may end it before, at any time.
 */
export function endsAt(decision: Decision, override: Override | null): number | null {
  if (decision.action !== "run") return null;
  const { nextChange } = decision;
  const ends = [
    nextChange?.action === "pause" ? nextChange.at : null,
    // The daemon goes too, whatever the schedule would allow then.
    override?.action === "run" && override.thenQuit === true ? override.until : null,
  ].filter((at) => at !== null);
  return ends.length === 0 ? null : Math.min(...ends);
}
