import type { TokenText } from "../src-data/token-text.ts";
import type { WriteRequest } from "../src-protocol/model-trial.ts";
import { type TrialModel, writtenBy } from "./model-trial.ts";

/** What a model wrote. */
export interface Sample {
  readonly prompt: string;
  /** What comes after the prompt. */
  readonly text: string;
  readonly tokens: number;
}

export interface SampleOptions extends Pick<WriteRequest, "tokens" | "temperature" | "seed" | "mostMs"> {
  readonly signal?: AbortSignal;
  readonly onTokens?: (count: number) => void;
}

/** What the model writes after each prompt of tokens. Throws as `writtenBy`. */
export async function samplesOf(
  model: TrialModel,
  text: TokenText,
  prompts: readonly (readonly number[])[],
  { tokens, temperature, seed, mostMs, ...options }: SampleOptions,
): Promise<Sample[]> {
  const { largestToken, end } = text;
  const request = { tokens, temperature, seed, mostMs, largestToken, end };
  const written = await writtenBy({ model, prompts: prompts.map((each) => [...each]), ...request }, options);
  return await Promise.all(
    prompts.map(async (prompt, i): Promise<Sample> => {
      const own = written[i] ?? [];
      // Together: some tokenizers decode a word's beginning by what stands before it.
      const [before, whole] = await Promise.all([text.decode(prompt), text.decode([...prompt, ...own])]);
      const isBefore = whole.startsWith(before);
      return {
        prompt: before,
        text: isBefore ? whole.slice(before.length) : await text.decode(own),
        tokens: own.length,
      };
    }),
  );
}

const SHOWN_LETTERS = 400;

/** On one line, with what is no letter shown as what it is. */
export function shownText(text: string): string {
  const line = [...text].map((letter) => (letter === "\n" ? "⏎" : /\p{Cc}/u.test(letter) ? "·" : letter));
  return line.length <= SHOWN_LETTERS ? line.join("") : `${line.slice(0, SHOWN_LETTERS).join("")}…`;
}
