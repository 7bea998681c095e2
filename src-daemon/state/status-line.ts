import type { DaemonState } from "../../src-protocol/state.ts";
import { assetWord, formatTao } from "../../src-protocol/units.ts";
import { situationText } from "../../src-protocol/why.ts";

/** Begins a sentence of the activity that the terminal says too: else its owner would take step 0 for a loss. */
export const ANOTHER_RUN = "This is another run than last time";

/** One line for the terminal: step, losses, speed, state and reason, earnings. @param before what was said already is not said again */
export function statusLine(state: DaemonState, now: number, before: string | null = null): string {
  const { run, earnings } = state;
  const parts: string[] = [];
  if (run !== null) {
    parts.push(run.steps === null ? `step ${run.step}` : `step ${run.step} of ${run.steps}`);
    if (run.loss !== null) parts.push(`loss ${run.loss.toFixed(3)}`);
    if (run.heldOutLoss !== null) parts.push(`held out ${run.heldOutLoss.toFixed(3)}`);
    if (run.tokensPerSecond !== null) parts.push(`${grouped(run.tokensPerSecond)} tokens/s`);
  }
  const what = situation(state, now);
  if (what !== before) parts.push(what);
  parts.push(`earned ${earned(earnings)}`);
  const { chain } = state;
  if (chain.source === "chain" && !chain.connected) parts.push(`chain: ${chain.detail}`);
  return parts.join(" · ");
}

/** What is going on, and why: the decision's words, then whatever keeps training from being all well. */
export function situation(state: DaemonState, now: number): string {
  const { decision, node, run, problem, network } = state;
  if (problem !== null) return problem.message;
  // While it trains, what others still miss is worth more than what this computer's own worker says.
  const waits = decision.action === "run" && network.away === null && network.offer === null;
  if (waits && run !== null && node.phase !== "failed" && run.phase !== "training")
    return run.phase === "finished"
      ? "Finished."
      : run.phase === "forming"
        ? `Getting ready: ${run.detail}`
        : run.detail;
  return situationText(state, now);
}

export function earned({ accruedRao, claimedRao, asset, asOf }: DaemonState["earnings"]): string {
  if (asOf === null) return "not known yet";
  const rao = BigInt(accruedRao) + BigInt(claimedRao);
  // Six decimals always: a number that changes its width is hard to read.
  const amount = formatTao(rao - (rao % 1000n), 6);
  return `${amount} ${assetWord(asset)}`;
}

/** 12,345 as in the dashboard, whatever the system's language is. */
function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}
