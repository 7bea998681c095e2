import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";

/** Text into token numbers, as the model was trained with. */
export interface TextTokenizer {
  /** For a person. */
  readonly name: string;
  encode(text: string): readonly number[];
}

export const TOKENIZER_FILES: readonly string[] = ["tokenizer.json", "tokenizer_config.json"];

/** The largest vocabularies of today take 35 MB. */
const LARGEST_FILE_BYTES = 128 * 1024 * 1024;

/**
 * Text is encoded in pieces of at most so many characters, cut at line ends: longer ones overflow the
 * library's stack. A token that would reach over such a cut is two.
 */
const PIECE = 65_536;

/**
 * The tokenizer of the first folder that has a `tokenizer.json` in Hugging Face's form; null: none has.
 *
 * @throws Failure `bad-tokenizer`
 */
export async function findTokenizer(folders: readonly string[]): Promise<TextTokenizer | null> {
  const [main = "", config = ""] = TOKENIZER_FILES;
  const folder = folders.find((each) => statSync(join(each, main), { throwIfNoEntry: false })?.isFile());
  if (folder === undefined) return null;
  const file = join(folder, main);
  const settings = join(folder, config);
  const { Tokenizer } = await import("@huggingface/tokenizers");
  try {
    const hasSettings = statSync(settings, { throwIfNoEntry: false })?.isFile() === true;
    const tokenizer = new Tokenizer(readJson(file), hasSettings ? readJson(settings) : {});
    // Some parts are only looked at when they are used.
    tokenizer.encode("A line.\n", { add_special_tokens: false });
    return {
      name: file,
      encode: (text) =>
        piecesOf(text).flatMap((piece) => {
          const { ids } = tokenizer.encode(piece, { add_special_tokens: false });
          if (ids.every(Number.isInteger)) return ids;
          throw bad(file, "it has no token for a part of the text, and none for what is unknown");
        }),
    };
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    const why = cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
    throw bad(file, `it is of a kind that is not known here (${why})`, cause);
  }
}

function readJson(file: string): object {
  const { size } = statSync(file);
  if (size > LARGEST_FILE_BYTES)
    throw bad(file, `it has ${size} bytes, and at most ${LARGEST_FILE_BYTES} are read`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw bad(file, "it is not JSON", cause);
  }
  if (typeof value === "object" && value !== null) return value;
  throw bad(file, "it is not a JSON object");
}

function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  for (let from = 0; from < text.length;) {
    const to = from + PIECE >= text.length ? text.length : cutBefore(text, from, from + PIECE);
    pieces.push(text.slice(from, to));
    from = to;
  }
  return pieces;
}

/** After the last line end, or where no character is cut in two. */
function cutBefore(text: string, from: number, most: number): number {
  const line = text.lastIndexOf("\n", most - 1) + 1;
  if (line > from) return line;
  const isPair = /[\uD800-\uDBFF]/.test(text.charAt(most - 1));
  return isPair ? most - 1 : most;
}

function bad(file: string, why: string, cause?: unknown): Failure {
  return new Failure(
    "bad-tokenizer",
    `The tokenizer ${file} cannot be used: ${why}. Put the model's own tokenizer.json there, remove it to take text as bytes, or encode the text to token files (.u16, .u32).`,
    { cause },
  );
}
