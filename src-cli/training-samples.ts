import { closeSync, openSync, readSync } from "node:fs";
import { tokenText } from "../src-data/token-text.ts";
import type { TokenText } from "../src-data/token-text.ts";
import { findTokenizer } from "../src-data/tokenizer.ts";
import { heldOutOffsets, tokensAt } from "../src-engine/samples.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { samplesOf } from "./model-samples.ts";
import type { TrialModel } from "./model-trial.ts";

/** A beginning from the data that was held out, and how each model goes on from it. */
export interface TrainingSample {
  readonly prompt: string;
  readonly untrained: string;
  readonly trained: string;
}

export interface TrainingSamplesOptions {
  readonly run: RunSpec;
  /** How the data's tokens are read. */
  readonly text: TokenText;
  readonly corpusFile: string;
  /** Files of the model before the training, and after it. */
  readonly untrained: readonly string[];
  readonly trained: readonly string[];
  readonly count: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Tokens of a prompt at most, and how many come after it. */
const PROMPT_TOKENS = 12;
const WRITTEN_TOKENS = 40;
const TEMPERATURE = 0.7;
/** For each of the two models: a large one writes less. */
const MOST_MS = 20_000;

/** How a run's tokens are read: each byte is one, or by the tokenizer in `places`, if it fits, or they stay numbers. */
export async function textOfRun(
  { corpus, model }: Pick<RunSpec, "corpus" | "model">,
  places: readonly string[],
): Promise<TokenText> {
  if (corpus.tokenBytes === 1) return tokenText("bytes", null, model.vocabulary);
  const tokenizer = await findTokenizer(places);
  const fits = tokenizer !== null && tokenizer.largestToken < model.vocabulary;
  return fits
    ? tokenText("tokenizer", tokenizer, model.vocabulary)
    : tokenText("numbers", null, model.vocabulary);
}

/** What the model writes before and after its training: the same beginnings, the same seed. */
export async function trainingSamples(options: TrainingSamplesOptions): Promise<TrainingSample[]> {
  const { run, text, untrained, trained, count, signal, say } = options;
  const prompts = promptsOf(run, options.corpusFile, count);
  say(`Writing ${count === 1 ? "a text" : `${count} texts`} with the model as it was and as it is …`);
  const sampled = {
    tokens: WRITTEN_TOKENS,
    temperature: TEMPERATURE,
    seed: run.seed,
    mostMs: MOST_MS,
    signal,
  };
  const before = await samplesOf(trialOf(run, untrained), text, prompts, sampled);
  const after = await samplesOf(trialOf(run, trained), text, prompts, sampled);
  return after.map(({ prompt, text: own }, i) => ({
    prompt,
    untrained: before[i]?.text ?? "",
    trained: own,
  }));
}

function trialOf({ model, batch, sequence }: RunSpec, modelFiles: readonly string[]): TrialModel {
  if (model.kind === "decoder") return { modelFiles, spec: model, batch, sequence };
  const [modelFile] = modelFiles;
  if (model.kind !== "onnx" || modelFile === undefined)
    throw new RangeError("Only a model of a file is tried.");
  const { tokens, scores, sizes, fixed } = model;
  return { modelFile, spec: { tokens, scores, sizes, fixed }, batch, sequence };
}

/** The beginnings of the first held-out sequences. */
function promptsOf(
  { seed, batch, sequence, corpus }: RunSpec,
  corpusFile: string,
  count: number,
): number[][] {
  const { tokenBytes, trainingTokens } = corpus;
  const length = Math.max(1, Math.min(PROMPT_TOKENS, sequence >> 1));
  const shape = { seed, sequence, corpusTokens: corpus.bytes / tokenBytes, trainingTokens };
  const offsets = Array.from({ length: Math.ceil(count / batch) }, (_, index) =>
    heldOutOffsets({ ...shape, batch, index }),
  ).flat();
  const file = openSync(corpusFile, "r");
  try {
    return offsets.slice(0, count).map((offset) => {
      // One more than is used: `tokensAt` gives targets too.
      const bytes = new Uint8Array((length + 1) * tokenBytes);
      readSync(file, bytes, 0, bytes.length, offset * tokenBytes);
      return Array.from(tokensAt(bytes, [0], length, tokenBytes).tokens);
    });
  } finally {
    closeSync(file);
  }
}
