import { say } from "../../src-protocol/say.ts";
import type { RunState } from "../../src-protocol/state.ts";
import { count, decimals } from "../parts/format.ts";

/** The model's shape in a few words. */
export function shapeText(model: RunState["model"]): string {
  switch (model.kind) {
    case "llama":
      return say(
        "{blocks, plural, one {# block} other {# blocks}} of width {width}, {heads, plural, one {# head} other {# heads}}",
        { blocks: model.blocks, width: count(model.width), heads: model.heads },
      );
    case "onnx":
      return say("from an ONNX file, {vocabulary} kinds of tokens", { vocabulary: count(model.vocabulary) });
    case "decoder":
      return say(
        "{blocks, plural, one {# block} other {# blocks}} of {family}, {vocabulary} kinds of tokens",
        { blocks: model.blocks, family: model.family, vocabulary: count(model.vocabulary) },
      );
  }
}

/** What a loss in nats means: e to its power is the number of equally likely guesses (perplexity). */
export function choicesText(loss: number): string {
  const choices = Math.exp(loss);
  const told = choices < 10 ? decimals(choices, 1) : count(choices);
  return say("as unsure of the next piece of text as between {told} equally likely ones; lower is better", {
    told,
  });
}
