import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Tokenizer } from "tokenizers";
import { Failure } from "../src-protocol/failure.ts";
import { chatTemplate } from "./chat-template.ts";
import type { ChatTemplate } from "./chat-template.ts";

/** A part of a document; `continues`: another part of the same document is before it. */
export interface TextPart {
  readonly text: string;
  readonly continues: boolean;
}

/** Text into token numbers, as the model was trained with. */
export interface TextTokenizer {
  /** Its file, for a person. */
  readonly name: string;
  /** The largest token number that it can give. */
  readonly largestToken: number;
  /** What ends a document; null: it has no such token. */
  readonly endOfText: { readonly id: number; readonly text: string } | null;
  /** null: it has none. */
  readonly chatTemplate: ChatTemplate | null;
  /**
   * The token numbers of each part, without those that a post-processor adds around.
   *
   * @throws Failure `bad-tokenizer` when it has no token for a part of the text
   */
  encode(parts: readonly TextPart[]): Promise<readonly (readonly number[])[]>;
}

const MAIN_FILE = "tokenizer.json";
const CONFIG_FILE = "tokenizer_config.json";
const SPECIAL_FILE = "special_tokens_map.json";
const TEMPLATE_FILE = "chat_template.jinja";

/** The largest vocabularies of today take 35 MB. */
const LARGEST_FILE_BYTES = 128 * 1024 * 1024;

/** What ends a document, by its usual names: where no setting says it. */
const USUAL_ENDS = [
  "<|endoftext|>",
  "<|end_of_text|>",
  "</s>",
  "<eos>",
  "<|eos|>",
  "<|end|>",
  "[EOS]",
  "[SEP]",
];

/** Whatever part of a document is encoded, the one before it ended a line. */
const CONTEXT = "\n";

/**
 * The tokenizer of the first folder (of a file: the folder that it is in) that has a `tokenizer.json` in Hugging Face's form, read by
 * Hugging Face's own library; null: none has. Truncation and padding that the file asks for do not
 * apply to training text and are switched off.
 *
 * @throws Failure `bad-tokenizer`, `bad-chat-template`
 */
export async function findTokenizer(places: readonly string[]): Promise<TextTokenizer | null> {
  const folder = tokenizerFolder(places);
  if (folder === null) return null;
  const file = join(folder, MAIN_FILE);
  const { Tokenizer: Native } = await import("tokenizers");
  const source = readText(file);
  if (typeof jsonOf(file, source) !== "object") throw bad(file, "it is not a JSON object");
  const native = ofFile(file, () => {
    const tokenizer = Native.fromString(source);
    tokenizer.disableTruncation();
    tokenizer.disablePadding();
    return tokenizer;
  });
  const settings = settingsOf(folder);
  const encode = encoder(file, native);
  // Some parts are only looked at when they are used.
  await encode([{ text: "A", continues: false }]).catch((error: unknown) => {
    if (!(error instanceof Failure) || !/UNK|unk/.test(error.message)) throw error;
  });
  return {
    name: file,
    largestToken: largest(native),
    endOfText: endOf(native, settings),
    chatTemplate: templateOf(folder, settings),
    encode,
  };
}

function tokenizerFolder(places: readonly string[]): string | null {
  const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  const folders = places.map((place) => (isFile(place) ? dirname(place) : place));
  return folders.find((each) => isFile(join(each, MAIN_FILE))) ?? null;
}

/** Of all that `findTokenizer` would read; null: there is none. */
export function tokenizerDigest(places: readonly string[]): string | null {
  const folder = tokenizerFolder(places);
  if (folder === null) return null;
  const hash = createHash("sha256");
  for (const name of [MAIN_FILE, CONFIG_FILE, SPECIAL_FILE, TEMPLATE_FILE]) {
    const path = join(folder, name);
    const text = statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readText(path) : "";
    hash.update(`${name}\0${text.length}\0${text}`);
  }
  return hash.digest("hex");
}

/**
 * What the library holds of a batch, some hundred bytes a token, goes when its wrappers are collected; the
 * collector knows nothing of it and would wait until gigabytes were full.
 */
const collectYoung = ((): (() => void) => {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  return () => {
    if (typeof collect === "function") collect({ type: "minor" });
  };
})();

function encoder(file: string, native: Tokenizer): TextTokenizer["encode"] {
  const encodeAll = async (texts: string[]): Promise<number[][]> => {
    try {
      const encodings = await native.encodeBatch(texts, { addSpecialTokens: false });
      return encodings.map((encoding) => encoding.getIds());
    } catch (cause) {
      const why = cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
      throw bad(file, `it has no token for a part of the text, and none for what is unknown (${why})`, cause);
    }
  };
  let context: Promise<readonly number[]> | null = null;
  return async (parts) => {
    const ids = await encodeAll(parts.map(({ text, continues }) => (continues ? CONTEXT + text : text)));
    if (parts.length > 1) collectYoung();
    if (!parts.some(({ continues }) => continues)) return ids;
    // Some tokenizers put a mark before the first word: after the line end that stands for what came
    // before, it is where it would be in one go, and goes away together with it.
    context ??= encodeAll([CONTEXT]).then(([only = []]) => only);
    const before = await context;
    return await Promise.all(
      ids.map(async (own, i) => {
        const part = parts[i];
        if (part?.continues !== true) return own;
        if (before.every((id, k) => own[k] === id)) return own.slice(before.length);
        const [alone = []] = await encodeAll([part.text]);
        return alone;
      }),
    );
  };
}

function largest(native: Tokenizer): number {
  let most = 0;
  for (const id of Object.values(native.getVocab(true))) most = Math.max(most, id);
  return most;
}

function endOf(native: Tokenizer, settings: Settings): TextTokenizer["endOfText"] {
  for (const text of [settings.endOfText, ...USUAL_ENDS]) {
    const id = text === undefined ? null : native.tokenToId(text);
    if (text !== undefined && id !== null) return { id, text };
  }
  return null;
}

interface Settings {
  readonly endOfText: string | undefined;
  readonly tokens: Readonly<Record<string, string>>;
  readonly template: string | null;
}

/** Of the files beside a tokenizer; what is not there or damaged says nothing. */
function settingsOf(folder: string): Settings {
  const read = (name: string): Record<string, unknown> => {
    const path = join(folder, name);
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return {};
    const value = jsonOf(path, readText(path));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  };
  const all = { ...read(SPECIAL_FILE), ...read(CONFIG_FILE) };
  const named = (key: string): string | undefined => {
    const value = all[key];
    if (typeof value === "string") return value;
    if (typeof value !== "object" || value === null || !("content" in value)) return undefined;
    return typeof value.content === "string" ? value.content : undefined;
  };
  const tokens: Record<string, string> = {};
  for (const key of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
    const text = named(key);
    if (text !== undefined) tokens[key] = text;
  }
  return { endOfText: named("eos_token"), tokens, template: templateIn(all["chat_template"]) };
}

function templateIn(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return null;
  const named = value.find((each: unknown) => isNamed(each) && each.name === "default");
  return isNamed(named) ? named.template : null;
}

function isNamed(value: unknown): value is { name: string; template: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    "template" in value &&
    typeof value.template === "string"
  );
}

function templateOf(folder: string, { template, tokens }: Settings): ChatTemplate | null {
  const own = join(folder, TEMPLATE_FILE);
  if (statSync(own, { throwIfNoEntry: false })?.isFile() === true)
    return chatTemplate(readText(own), TEMPLATE_FILE, tokens);
  return template === null ? null : chatTemplate(template, CONFIG_FILE, tokens);
}

function readText(file: string): string {
  const { size } = statSync(file);
  if (size > LARGEST_FILE_BYTES)
    throw bad(file, `it has ${size} bytes, and at most ${LARGEST_FILE_BYTES} are read`);
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw bad(file, "it cannot be read", cause);
  }
}

function jsonOf(file: string, source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (cause) {
    throw bad(file, "it is not JSON", cause);
  }
}

function ofFile(file: string, read: () => Tokenizer): Tokenizer {
  try {
    return read();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
    throw bad(file, `it is of a kind that is not known here (${why})`, cause);
  }
}

function bad(file: string, why: string, cause?: unknown): Failure {
  return new Failure(
    "bad-tokenizer",
    `The tokenizer ${file} cannot be used: ${why}. Put the model's own tokenizer.json there, remove it to take text as bytes, or encode the text to token files (.u16, .u32).`,
    { cause },
  );
}
