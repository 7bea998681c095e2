import { z } from "zod";
import { sha256Hex } from "./keys.ts";

/** Families of language models whose folders (config.json, safetensors) are understood, by their `model_type`. */
export const FAMILIES = [
  "llama",
  "mistral",
  "qwen2",
  "qwen3",
  "gemma",
  "gemma2",
  "gemma3_text",
  "gpt2",
  "phi",
  "phi3",
] as const;
export type Family = (typeof FAMILIES)[number];

/** Files that a folder's tensors may be divided among. */
export const MOST_MODEL_FILES = 256;
/** Of one file: 4 TiB, as for any stored file. */
const LARGEST_FILE_BYTES = 2 ** 42;
/** So many kinds of blocks may take turns. */
const MOST_WINDOWS = 1024;
const MOST_PATTERNS = 64;

const positive = z.number().positive();
const factors = z.array(positive).min(1).max(1024);

/** Rotary positions (arXiv:2104.09864). */
export const rope = z.strictObject({
  /** Elements of a head that are turned, from its first one on. */
  size: z.int().min(2).max(65_536),
  base: positive,
  /** How the angles are stretched for longer texts than the model was first trained on. */
  scaling: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("linear"), factor: positive }),
      /** By the length of the sequence, where it is longer than `original` tokens. */
      z.strictObject({ kind: z.literal("dynamic"), factor: positive, original: positive }),
      z.strictObject({
        kind: z.literal("llama3"),
        factor: positive,
        lowFrequency: positive,
        highFrequency: positive,
        /** Tokens that the model was first trained on. */
        original: positive,
      }),
      z.strictObject({
        kind: z.literal("yarn"),
        factor: positive,
        /** Of cosines and sines. */
        attention: positive,
        betaFast: positive,
        betaSlow: positive,
        original: positive,
        truncate: z.boolean(),
      }),
      z.strictObject({
        kind: z.literal("longrope"),
        /** A divisor for each pair: for sequences of up to `original` tokens, and for longer ones. */
        short: factors,
        long: factors,
        /** Of cosines and sines. */
        attention: positive,
        original: positive,
      }),
    ])
    .nullable(),
});
export type Rope = z.infer<typeof rope>;

/**
 * A decoder of a known family, with its parameters in safetensors files: attention that sees what came
 * before, feed-forward layers, norms. What the family does not fix stands here, so that the graph is
 * made of this alone and a node reads only its own stage's part of the files.
 */
export const decoderSpec = z.strictObject({
  kind: z.literal("decoder"),
  family: z.enum(FAMILIES),
  /** In the network's content-addressed store. */
  files: z
    .array(
      z.strictObject({
        sha256: sha256Hex,
        bytes: z.int().positive().max(LARGEST_FILE_BYTES),
        /** `chunksDigest` (chunks.ts): a node takes the chunks that it needs. */
        chunksSha256: sha256Hex,
      }),
    )
    .min(1)
    .max(MOST_MODEL_FILES),
  /** What the names of its tensors begin with: empty, or `transformer.`. */
  prefix: z.enum(["", "model.", "transformer."]),
  vocabulary: z.int().min(2).max(1_000_000),
  width: z.int().min(1).max(65_536),
  heads: z.int().min(1).max(1024),
  /** Heads of keys and values; each is shared by `heads / keyHeads` neighbouring heads. */
  keyHeads: z.int().min(1).max(1024),
  headSize: z.int().min(1).max(65_536),
  blocks: z.int().min(1).max(1024),
  /** Width of the feed-forward layer. */
  hidden: z.int().min(1).max(524_288),
  activation: z.enum(["silu", "gelu", "gelu-tanh", "relu"]),
  normEpsilon: positive,
  /** The embedding is also the output matrix. */
  tied: z.boolean(),
  /** Which products have a bias. */
  bias: z.strictObject({
    query: z.boolean(),
    attentionOutput: z.boolean(),
    hidden: z.boolean(),
    scores: z.boolean(),
  }),
  /** Rows of the table of learned positions; null: there is none. */
  positions: z.int().min(1).max(1_000_000).nullable(),
  rope: rope.nullable(),
  /** Of blocks with a window, where they turn by other angles. */
  ropeOfWindows: rope.nullable(),
  /** Tokens that a block sees, itself included; null: all before it. Block i has the entry i modulo their number. */
  windows: z
    .array(
      z
        .int()
        .positive()
        .max(2 ** 31 - 1)
        .nullable(),
    )
    .min(1)
    .max(MOST_WINDOWS),
  /** What the products of queries and keys are multiplied with. */
  attentionScale: positive,
  /** Block i divides them by i + 1 as well. */
  scaledByBlock: z.boolean(),
  /** `c · tanh(x / c)` on them, and on the scores of tokens; null: none. */
  attentionCap: positive.nullable(),
  scoresCap: positive.nullable(),
  /** What embeddings are multiplied with. */
  embeddingScale: positive,
  /** Parameters that do not train, and those that do all the same, as patterns with `*` and `?`. */
  freeze: z.array(z.string().min(1).max(200)).max(MOST_PATTERNS).optional(),
  train: z.array(z.string().min(1).max(200)).max(MOST_PATTERNS).optional(),
});
export type DecoderFile = z.infer<typeof decoderSpec>["files"][number];
export type DecoderSpec = z.infer<typeof decoderSpec>;
