import { say } from "../../src-protocol/say.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { situation, type Tone, WORDS } from "../../src-protocol/why.ts";

export type { Tone };

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
  state: Pick<DaemonState, "decision" | "override" | "node" | "run" | "network" | "asked">,
  now: number,
): Headline {
  const { node, run } = state;
  const { tone, reason } = situation(state, now);
  const hidden = tone === "failed" || tone === "waiting";
  const slice =
    node.stage === null || run === null || hidden
      ? null
      : say("slice {stage} of {stages}", { stage: node.stage + 1, stages: run.stages.length });
  // The product's one text starts with its own word; here the word stands apart.
  return { tone, word: say(WORDS[tone]), slice, reason: reason.slice(0, 1).toUpperCase() + reason.slice(1) };
}
