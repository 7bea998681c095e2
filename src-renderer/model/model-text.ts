import type { RunState } from "../../src-protocol/state.ts";
import { count, plural } from "../parts/format.ts";

/** The model's shape in a few words. */
export function shapeText(model: RunState["model"]): string {
  switch (model.kind) {
    case "llama":
      return `${plural(model.blocks, "block")} of width ${count(model.width)}, ${plural(model.heads, "head")}`;
    case "onnx":
      return `from an ONNX file, ${count(model.vocabulary)} kinds of tokens`;
    case "decoder":
      return `${plural(model.blocks, "block")} of ${model.family}, ${count(model.vocabulary)} kinds of tokens`;
  }
}

/** What a loss in nats means: e to its power is the number of equally likely guesses (perplexity). */
export function choicesText(loss: number): string {
  const choices = Math.exp(loss);
  const told = choices < 10 ? choices.toFixed(1) : count(choices);
  return `as unsure of the next piece of text as between ${told} equally likely ones; lower is better`;
}
