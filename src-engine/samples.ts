import { Failure } from "../src-protocol/failure.ts";
import { HELD_OUT_FRACTION } from "../src-protocol/model.ts";
import { randomStream } from "./random.ts";

/** Bytes of a stored token number, little-endian; 1 is text, each byte a token. */
export type TokenBytes = 1 | 2 | 4;

interface SampleShape {
  seed: number;
  /** Sequences in the micro-batch. */
  batch: number;
  /** Tokens in a sequence. One more is read: the last token's target. */
  sequence: number;
  corpusTokens: number;
  /** Those that train, from the corpus's beginning; the rest is held out. Without: the first 95 %. */
  trainingTokens?: number | undefined;
}

/**
 * Where the sequences of a training micro-batch begin: `batch` offsets in tokens, drawn uniformly from
 * the part of the corpus that trains. A pure function, so that nobody picks their own data. `step` and
 * `microBatch` count from 0.
 *
 * @throws Failure `corpus-too-small` when not one sequence and its target fit
 */
export function trainingOffsets(request: SampleShape & { step: number; microBatch: number }): number[] {
  const { seed, step, microBatch } = request;
  return draw(request, randomStream(seed, "train", step, microBatch), 0, border(request), "training text");
}

/**
 * As `trainingOffsets`, for evaluation: micro-batch `index` (from 0) of what is held out, the
 * same in every evaluation.
 */
export function heldOutOffsets(request: SampleShape & { index: number }): number[] {
  const { seed, index, corpusTokens } = request;
  const random = randomStream(seed, "held-out", index);
  return draw(request, random, border(request), corpusTokens, "held-out text");
}

/**
 * Tokens of the sequences at `offsets`, each array `[batch·sequence]`: `tokens` are those at
 * `[o, o + sequence)`, `targets` those one later.
 *
 * @throws Failure `bad-offset` when a sequence leaves the corpus
 */
export function tokensAt(
  corpus: Uint8Array,
  offsets: readonly number[],
  sequence: number,
  tokenBytes: TokenBytes = 1,
): { tokens: Int32Array<ArrayBuffer>; targets: Int32Array<ArrayBuffer> } {
  const tokens = new Int32Array(offsets.length * sequence);
  const targets = new Int32Array(offsets.length * sequence);
  for (const [row, offset] of offsets.entries()) {
    if (!Number.isInteger(offset) || offset < 0 || (offset + sequence + 1) * tokenBytes > corpus.length) {
      throw new Failure(
        "bad-offset",
        `A sequence of ${sequence} tokens at place ${offset} leaves the corpus of ${corpus.length} bytes. ` +
          "The corpus is probably not the one that the run names: fetch it again by its digest.",
      );
    }
    const drawn = numbersIn(corpus, offset, sequence + 1, tokenBytes);
    tokens.set(drawn.subarray(0, sequence), row * sequence);
    targets.set(drawn.subarray(1), row * sequence);
  }
  return { tokens, targets };
}

function numbersIn(corpus: Uint8Array, offset: number, count: number, tokenBytes: TokenBytes): Int32Array {
  if (tokenBytes === 1) return Int32Array.from(corpus.subarray(offset, offset + count));
  const view = new DataView(corpus.buffer, corpus.byteOffset + offset * tokenBytes, count * tokenBytes);
  return Int32Array.from({ length: count }, (_, i) =>
    tokenBytes === 2 ? view.getUint16(2 * i, true) : view.getInt32(4 * i, true),
  );
}

function border({ corpusTokens, trainingTokens }: SampleShape): number {
  return trainingTokens ?? Math.floor(corpusTokens * (1 - HELD_OUT_FRACTION));
}

function draw(
  { batch, sequence, corpusTokens, trainingTokens }: SampleShape,
  random: () => number,
  from: number,
  to: number,
  what: string,
): number[] {
  const places = to - from - sequence;
  if (places < 1) {
    if (trainingTokens !== undefined)
      throw new Failure(
        "corpus-too-small",
        `The ${what} has ${to - from} tokens, too few for sequences of ${sequence}. ` +
          `Use one of at least ${sequence + 1} tokens or shorter sequences.`,
      );
    const needed = Math.ceil((sequence + 2) / HELD_OUT_FRACTION);
    throw new Failure(
      "corpus-too-small",
      `The text has ${corpusTokens} tokens, too few for sequences of ${sequence} with 5 % held out. ` +
        `Use a text of at least ${needed} tokens or shorter sequences.`,
    );
  }
  return Array.from({ length: batch }, () => from + Math.floor(random() * places));
}
