import { Failure } from "../src-protocol/failure.ts";
import type { Sight } from "../src-protocol/model-trial.ts";
import type { Roles } from "./model-roles.ts";
import { sightOf } from "./model-trial.ts";
import { trialModel } from "./model-try.ts";

/** Beyond this a model is not run only to look at it: about ten seconds, or a gigabyte of weights. */
const MOST_FLOPS = 5e11;
const MOST_PARAMETERS = 250e6;

export interface Looked {
  /** null: it was not looked at. */
  readonly sight: Sight | null;
  /** What a person should know of it. */
  readonly notes: readonly string[];
}

/** Runs the model a few times, to see whether its scores look only at what comes before. `flops`: of one run. */
export async function lookAt(
  modelFile: string,
  roles: Roles,
  { flops, parameters }: { flops: number; parameters: number },
  signal?: AbortSignal,
): Promise<Looked> {
  if (flops > MOST_FLOPS || parameters > MOST_PARAMETERS)
    return {
      sight: null,
      notes: ["The model is large, so it was not tried whether its scores see later tokens."],
    };
  const sight = await sightOf(trialModel(modelFile, roles), signal);
  const text = TEXTS[sight](roles.scores);
  return { sight, notes: text === null ? [] : [text] };
}

const TEXTS: Readonly<Record<Sight, (scores: string) => string | null>> = {
  causal: () => null,
  ahead: (scores) =>
    `The model sees ahead: scores of "${scores}" move when a later token is another one. It can read what it is to predict, so its loss falls without anything worth learning. ` +
    "Is the causal mask missing, or a convolution padded on both sides, or a layer bidirectional? Export it with the mask (is_causal=True), or pad on the left only.",
  transposed: (scores) =>
    `The scores "${scores}" have their places last, [batch, vocabulary, places]: a token moves the column of its place. Export the model with the vocabulary last, without the transpose at its end.`,
  blind: (scores) =>
    `With its weights as they are, the scores "${scores}" do not depend on the tokens: the model begins with zeros, or it is not the right output (--scores) or input (--tokens).`,
};

/** @throws Failure `which-scores` where training would teach the wrong thing for sure */
export function mustSeeItsText({ sight, notes }: Looked): void {
  if (sight === "transposed") throw new Failure("which-scores", notes.join(" "));
}
