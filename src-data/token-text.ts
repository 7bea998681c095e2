import { readFileSync } from "node:fs";
import { Failure } from "../src-protocol/failure.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** How a model's tokens are read: by a tokenizer, each as a byte, or as the numbers that they are. */
export const TOKEN_TEXTS = ["tokenizer", "bytes", "numbers"] as const;
export type TokenTextKind = (typeof TOKEN_TEXTS)[number];

/** Text and tokens of a model, both ways. */
export interface TokenText {
  readonly kind: TokenTextKind;
  /** Larger ones stand for nothing. */
  readonly largestToken: number;
  /** What ends a document; null: nothing does. */
  readonly end: number | null;
  /** @throws Failure `bad-prompt` when it is empty, or has tokens that the model does not know */
  encode(text: string): Promise<number[]>;
  decode(tokens: readonly number[]): Promise<string>;
}

/** `vocabulary`: how many tokens the model knows. */
export function tokenText(
  kind: TokenTextKind,
  tokenizer: TextTokenizer | null,
  vocabulary: number,
): TokenText {
  const encoded = (tokens: readonly number[]): number[] => {
    const unknown = tokens.find((token) => token >= vocabulary);
    if (tokens.length > 0 && unknown === undefined) return [...tokens];
    throw new Failure(
      "bad-prompt",
      unknown === undefined
        ? "The prompt holds no token. Begin with a word or two."
        : `The prompt has the token ${unknown}, and the model knows those below ${vocabulary}. The tokenizer belongs to another model.`,
    );
  };
  if (kind === "tokenizer" && tokenizer !== null) {
    const { name, endOfText } = tokenizer;
    const end = endOfText !== null && endOfText.id < vocabulary ? endOfText.id : null;
    return {
      kind,
      largestToken: Math.min(tokenizer.largestToken, vocabulary - 1),
      end,
      encode: async (text) => encoded((await tokenizer.encode([{ text, continues: false }]))[0] ?? []),
      decode: async (tokens) => {
        const { Tokenizer } = await import("tokenizers");
        return await Tokenizer.fromString(readFileSync(name, "utf8")).decode([...tokens], false);
      },
    };
  }
  if (kind === "bytes")
    return {
      kind,
      largestToken: Math.min(255, vocabulary - 1),
      end: null,
      encode: async (text) => encoded([...Buffer.from(text)]),
      decode: async (tokens) => Buffer.from(tokens).toString("utf8"),
    };
  return {
    kind: "numbers",
    largestToken: vocabulary - 1,
    end: null,
    encode: async (text) =>
      encoded(text.split(/[\s,]+/).flatMap((word) => (word === "" ? [] : [numberOf(word)]))),
    decode: async (tokens) => tokens.join(" "),
  };
}

function numberOf(word: string): number {
  if (/^\d{1,9}$/.test(word)) return Number(word);
  throw new Failure(
    "bad-prompt",
    `"${word.slice(0, 100)}" is not a token number. This model was trained on token numbers without a tokenizer: write the prompt as numbers, or name its tokenizer with --tokenizer.`,
  );
}
