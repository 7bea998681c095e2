import { rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { tokenText } from "../src-data/token-text.ts";
import type { TokenText, TokenTextKind } from "../src-data/token-text.ts";
import { findTokenizer } from "../src-data/tokenizer.ts";
import { decodeModel } from "../src-engine/import/model-bytes.ts";
import { plural } from "../src-protocol/amounts.ts";
import { Failure } from "../src-protocol/failure.ts";
import { folderTrial } from "./folders/folder-trial.ts";
import { isModelFolder } from "./folders/model-folder.ts";
import { openModel } from "./model-folder.ts";
import { rolesOf } from "./model-roles.ts";
import type { RoleOptions, Roles } from "./model-roles.ts";
import { type Sample, samplesOf, shownText } from "./model-samples.ts";
import { scoresOf } from "./model-scores.ts";
import type { TrialModel } from "./model-trial.ts";
import { packedModel } from "./model-weights.ts";
import { Signals } from "./signals.ts";
import { TrainingHomes } from "./training-homes.ts";

export interface TryOptions extends Omit<RoleOptions, "batch"> {
  readonly model: string;
  readonly prompts: readonly string[];
  /** A folder with a `tokenizer.json`, or that file; null: the model's own folder. */
  readonly tokenizer: string | null;
  /** How many texts for each prompt. */
  readonly count: number;
  /** Tokens of each. */
  readonly length: number;
  readonly temperature: number;
  readonly seed: number;
}

export interface TryResult {
  readonly model: string;
  /** How its tokens were read. */
  readonly tokens: TokenTextKind;
  /** As many tokens as it looks back. */
  readonly window: number;
  readonly samples: readonly Sample[];
}

/** Of the written file's own list: how the tokens that it was trained on are read. */
export const TEXT_PROPERTY = "train-at-home.text";
/** Rows of a run where the file leaves it open. */
const MOST_ROWS = 8;

/**
 * `tah model try`: what a model writes after a prompt, on this computer.
 *
 * @throws Failure as `openModel`, `openModelFolder`, `rolesOf`, `scoresOf`, `tokenText`, `samplesOf`; `no-tokenizer`
 */
export async function tryModel(options: TryOptions, say: (text: string) => void): Promise<TryResult> {
  const signals = new Signals();
  const stop = new AbortController();
  signals.onFirst(() => stop.abort());
  const prompts = options.prompts.flatMap((prompt) => Array.from({ length: options.count }, () => prompt));
  const rows = Math.min(prompts.length, MOST_ROWS);
  const written = async (model: TrialModel, said: string | undefined, vocabulary: number) => {
    const text = await textOf(said, vocabulary, options);
    const encoded = await Promise.all(prompts.map(async (prompt) => await text.encode(prompt)));
    const { length, temperature, seed } = options;
    const samples = await samplesOf(model, text, encoded, {
      tokens: length,
      temperature,
      seed,
      mostMs: null,
      signal: stop.signal,
      onTokens: sayWriting(say, length),
    });
    return { model: options.model, tokens: text.kind, window: model.sequence, samples };
  };
  try {
    if (isModelFolder(options.model)) {
      const { trial, properties } = folderTrial(options, rows);
      return await written(trial, properties[TEXT_PROPERTY], trial.spec.vocabulary);
    }
    const { bytes, readExternal } = openModel(options.model);
    const packed = packedModel(bytes, readExternal);
    const roles = fitted(packed, options, rows);
    const { vocabulary } = scoresOf(packed, roles, { freeze: [], train: [] });
    const said = decodeModel(packed).model.metadataProps.find(({ key }) => key === TEXT_PROPERTY)?.value;
    // A model in several files is put together first.
    return await inOneFile(
      options.model,
      { bytes, packed },
      async (modelFile) => await written(trialModel(modelFile, roles), said, vocabulary),
    );
  } finally {
    signals.ignore();
  }
}

/** Runs `use` with the model in one file: itself, where it is one. */
export async function withPacked<Result>(
  path: string,
  use: (file: string) => Promise<Result>,
): Promise<Result> {
  const { bytes, readExternal } = openModel(path);
  return await inOneFile(path, { bytes, packed: packedModel(bytes, readExternal) }, use);
}

async function inOneFile<Result>(
  path: string,
  { bytes, packed }: { bytes: Uint8Array; packed: Uint8Array },
  use: (file: string) => Promise<Result>,
): Promise<Result> {
  if (packed === bytes) return await use(path);
  const folder = new TrainingHomes().scratch();
  try {
    const file = join(folder, "model.onnx");
    writeFileSync(file, packed, { mode: 0o600 });
    return await use(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** With as many rows as there are texts, where the file leaves that open. */
function fitted(packed: Uint8Array, options: Omit<TryOptions, "prompts">, rows: number): Roles {
  const roles = rolesOf(packed, { ...options, batch: null });
  return roles.open.batch ? rolesOf(packed, { ...options, batch: rows }) : roles;
}

export function trialModel(modelFile: string, roles: Roles): TrialModel {
  const { tokens, scores, sizes, fixed, batch, sequence } = roles;
  return { modelFile, spec: { tokens, scores, sizes, fixed }, batch, sequence };
}

/** How the model's tokens are read: as it was trained, where its file says so. */
async function textOf(
  said: string | undefined,
  vocabulary: number,
  { model, tokenizer: place }: Pick<TryOptions, "model" | "tokenizer">,
): Promise<TokenText> {
  const tokenizer = await findTokenizer([place ?? model]);
  if (tokenizer === null && place !== null)
    throw new Failure("no-tokenizer", `There is no tokenizer.json in ${place}.`);
  if (tokenizer !== null && (place !== null || (said !== "bytes" && said !== "numbers")))
    return tokenText("tokenizer", tokenizer, vocabulary);
  if (said === "tokenizer")
    throw new Failure(
      "no-tokenizer",
      `${basename(model)} was trained on the tokens of a tokenizer, and there is no tokenizer.json beside it. Copy it there, or name its folder with --tokenizer.`,
    );
  return tokenText(said === "numbers" || vocabulary < 256 ? "numbers" : "bytes", null, vocabulary);
}

const SAY_EVERY_MS = 2_000;

function sayWriting(say: (text: string) => void, length: number): (count: number) => void {
  let saidAt = performance.now();
  return (count) => {
    if (performance.now() - saidAt < SAY_EVERY_MS) return;
    saidAt = performance.now();
    say(`Writing: ${count} of ${plural(length, "token")}`);
  };
}

/** For a person. */
export function tryText({ samples }: TryResult): string {
  return samples.map(({ prompt, text }) => `${shownText(prompt)}▸${shownText(text)}`).join("\n\n");
}
