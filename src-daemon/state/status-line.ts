import { networkWait } from "../../src-protocol/network-text.ts";
import { explain } from "../../src-protocol/reason-text.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { formatTao } from "../../src-protocol/units.ts";

/** One line for the terminal: step, losses, speed, state and reason, earnings. */
export function statusLine(state: DaemonState, now: number): string {
  const { run, earnings } = state;
  const parts: string[] = [];
  if (run !== null) {
    parts.push(run.steps === null ? `step ${run.step}` : `step ${run.step} of ${run.steps}`);
    if (run.loss !== null) parts.push(`loss ${run.loss.toFixed(3)}`);
    if (run.heldOutLoss !== null) parts.push(`held out ${run.heldOutLoss.toFixed(3)}`);
    if (run.tokensPerSecond !== null) parts.push(`${grouped(run.tokensPerSecond)} tokens/s`);
  }
  parts.push(situation(state, now));
  parts.push(`earned ${earned(earnings)}`);
  return parts.join(" · ");
}

/** What is going on, and why: the decision's words, then whatever keeps training from being all well. */
function situation({ decision, node, run, problem, network }: DaemonState, now: number): string {
  if (problem !== null) return problem.message;
  const why = explain(decision, now);
  if (decision.action === "pause") return why;
  const wait = networkWait(network, now);
  if (wait !== null) return wait;
  if (run === null) return node.detail;
  if (run.phase === "training") return why;
  return run.phase === "finished" ? "Finished." : run.detail;
}

export function earned({ accruedRao, claimedRao, asset }: DaemonState["earnings"]): string {
  const rao = BigInt(accruedRao) + BigInt(claimedRao);
  // Six decimals always: a number that changes its width is hard to read.
  const amount = formatTao(rao - (rao % 1000n), 6);
  return asset === "test" ? `${amount} test units` : `${amount} ${asset}`;
}

/** 12,345 as in the dashboard, whatever the system's language is. */
function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}
