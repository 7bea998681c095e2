import { networkWait } from "../../src-protocol/network-text.ts";
import { explain } from "../../src-protocol/reason-text.ts";
import type { DaemonState } from "../../src-protocol/state.ts";

export type Tone = "working" | "getting-ready" | "waiting" | "paused" | "failed";

export interface Headline {
  readonly tone: Tone;
  /** One or two words. */
  readonly word: string;
  /** "slice 2 of 3", or null while none is held. */
  readonly slice: string | null;
  /** Why, and what happens next: sentences. */
  readonly reason: string;
}

/** State, reason and next change: what the top line always tells. */
export function headline(
  state: Pick<DaemonState, "decision" | "override" | "node" | "run" | "network">,
  now: number,
): Headline {
  const { decision, node, run } = state;
  const wait = decision.action === "run" ? networkWait(state.network, now) : null;
  if (wait !== null && node.phase !== "failed")
    return { tone: "waiting", word: WORDS.waiting, slice: null, reason: capital(afterWord(wait)) };
  const missing = missingHomes(state);
  if (missing !== null) return { tone: "waiting", word: WORDS.waiting, slice: null, reason: missing };
  const tone = toneOf(state);
  const said = explain(decision, now);
  // The product's one text starts with its own word; here the word stands apart.
  const because = afterWord(said);
  const reason =
    tone === "failed" || tone === "getting-ready"
      ? `${sentence(node.detail)} ${later(because)}`
      : capital(because);
  const slice =
    node.stage === null || run === null || tone === "failed"
      ? null
      : `slice ${node.stage + 1} of ${run.stages.length}`;
  return { tone, word: WORDS[tone], slice, reason: reason.trim() };
}

const WORDS: Record<Tone, string> = {
  working: "Working",
  "getting-ready": "Getting ready",
  waiting: "Waiting",
  paused: "Paused",
  failed: "Stopped",
};

function toneOf({ decision, override, node }: Pick<DaemonState, "decision" | "override" | "node">): Tone {
  if (node.phase === "failed") return "failed";
  if (decision.action === "pause") return override?.action === "pause" ? "paused" : "waiting";
  return node.phase === "training" ? "working" : "getting-ready";
}

/** While it gets ready the cause is not news, but the end of the hours is. */
function later(because: string): string {
  const next = because.indexOf(". ");
  return next < 0 ? "" : because.slice(next + 2);
}

/** Nothing is wrong here, and nothing gets ready here: it is other homes that are waited for. */
function missingHomes({
  decision,
  node,
  run,
  network,
}: Pick<DaemonState, "decision" | "node" | "run" | "network">): string | null {
  if (network.kind !== "remote" || decision.action === "pause" || node.phase !== "waiting") return null;
  return run?.phase === "waiting" ? sentence(run.detail.replace(/^Waiting /, "")) : null;
}

function afterWord(text: string): string {
  return text.slice(text.indexOf(":") + 1).trim();
}

function sentence(text: string): string {
  const full = capital(text.trim());
  return full === "" || full.endsWith(".") ? full : `${full}.`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
