import { Failure } from "../src-protocol/failure.ts";
import { HELD_OUT_FRACTION } from "../src-protocol/model.ts";
import { randomStream } from "./random.ts";

interface SampleShape {
  seed: number;
  /** Sequences in the micro-batch. */
  batch: number;
  /** Tokens in a sequence. One more byte is read: the last token's target. */
  sequence: number;
  corpusBytes: number;
}

/**
 * Where the sequences of a training micro-batch begin: `batch` byte offsets, drawn uniformly from
 * the first 95 % of the corpus. A pure function, so that nobody picks their own data. `step` and
 * `microBatch` count from 0.
 *
 * @throws Failure `corpus-too-small` when not one sequence and its target fit
 */
export function trainingOffsets(request: SampleShape & { step: number; microBatch: number }): number[] {
  const { seed, step, microBatch, corpusBytes } = request;
  return draw(request, randomStream(seed, "train", step, microBatch), 0, trainingBytes(corpusBytes));
}

/**
 * As `trainingOffsets`, for evaluation: micro-batch `index` (from 0) of the last 5 %, the same in
 * every evaluation.
 */
export function heldOutOffsets(request: SampleShape & { index: number }): number[] {
  const { seed, index, corpusBytes } = request;
  return draw(request, randomStream(seed, "held-out", index), trainingBytes(corpusBytes), corpusBytes);
}

/**
 * Byte tokens of the sequences at `offsets`, each array `[batch·sequence]`: the inputs are the
 * bytes `[o, o + sequence)`, the targets those one byte later.
 *
 * @throws Failure `bad-offset` when a sequence leaves the corpus
 */
export function tokensAt(
  corpus: Uint8Array,
  offsets: readonly number[],
  sequence: number,
): { inputs: Int32Array; targets: Int32Array } {
  const inputs = new Int32Array(offsets.length * sequence);
  const targets = new Int32Array(offsets.length * sequence);
  for (const [row, offset] of offsets.entries()) {
    if (!Number.isInteger(offset) || offset < 0 || offset + sequence + 1 > corpus.length) {
      throw new Failure(
        "bad-offset",
        `A sequence of ${sequence} tokens at byte ${offset} leaves the corpus of ${corpus.length} bytes. ` +
          "The corpus is probably not the one that the run names: fetch it again by its digest.",
      );
    }
    inputs.set(corpus.subarray(offset, offset + sequence), row * sequence);
    targets.set(corpus.subarray(offset + 1, offset + sequence + 1), row * sequence);
  }
  return { inputs, targets };
}

function trainingBytes(corpusBytes: number): number {
  return Math.floor(corpusBytes * (1 - HELD_OUT_FRACTION));
}

function draw(
  { batch, sequence, corpusBytes }: SampleShape,
  random: () => number,
  from: number,
  to: number,
): number[] {
  const places = to - from - sequence;
  if (places < 1) {
    const needed = Math.ceil((sequence + 2) / HELD_OUT_FRACTION);
    throw new Failure(
      "corpus-too-small",
      `The text has ${corpusBytes} bytes, too few for sequences of ${sequence} tokens with 5 % held out. ` +
        `Use a text of at least ${needed} bytes or shorter sequences.`,
    );
  }
  return Array.from({ length: batch }, () => from + Math.floor(random() * places));
}
