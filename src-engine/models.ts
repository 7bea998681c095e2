import type { LlamaSpec } from "../src-protocol/model.ts";

/** Bytes. */
const BYTES = 256;
/** A vocabulary of words, as Llama's. */
const WORDS = 32_000;

/**
 * Models of the Llama type, by size. The feed-forward width is about 8/3 of the width and heads have
 * 64 or 128 elements, as in Llama. The largest are deeper and narrower than usual: a computer holds
 * at least half a block, and does best with a whole one. A block of the usual 70 B (width 8192) has
 * 870 M parameters, which take 17 GB while they are trained; one of width 4608 has 255 M: 5.1 GB.
 */
export const MODELS = {
  "1m": llama(BYTES, 128, 2, 5, 352),
  "3m": llama(BYTES, 256, 4, 3, 704),
  "10m": llama(BYTES, 320, 5, 8, 864),
  "30m": llama(BYTES, 512, 8, 9, 1408),
  "100m": llama(WORDS, 640, 10, 12, 1728),
  "300m": llama(WORDS, 1024, 16, 19, 2752),
  "1b": llama(WORDS, 1792, 14, 23, 4800),
  "3b": llama(WORDS, 2560, 20, 36, 6912),
  "7b": llama(WORDS, 4096, 32, 32, 11_008),
  "13b": llama(WORDS, 4608, 36, 51, 12_288),
  "30b": llama(WORDS, 4608, 36, 117, 12_288),
  "70b": llama(WORDS, 4608, 36, 274, 12_288),
} as const satisfies Readonly<Record<string, LlamaSpec>>;

export type ModelName = keyof typeof MODELS;

/** `2·vocabulary·width + width + blocks·(4·width² + 3·width·hidden + 2·width)`. */
export function parameterCount({ vocabulary, width, blocks, hidden }: LlamaSpec): number {
  return 2 * vocabulary * width + width + blocks * (4 * width * width + 3 * width * hidden + 2 * width);
}

function llama(vocabulary: number, width: number, heads: number, blocks: number, hidden: number): LlamaSpec {
  return { kind: "llama", vocabulary, width, heads, blocks, hidden, ropeBase: 10_000, normEpsilon: 1e-5 };
}
