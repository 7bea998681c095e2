import { z } from "zod";
import { arithmetic, kernels, KERNELS } from "./arithmetic.ts";
import { corpusChunks } from "./corpus-chunks.ts";
import { decoderSpec } from "./decoder.ts";
import { sha256Hex } from "./keys.ts";
import { linkCodecs } from "./link-codecs.ts";

/** Limits of numbers that come from outside. */
export const MOST_STEPS = 2_000_000_000;
export const MOST_STAGES = 1024;
export const MOST_MICRO_BATCHES = 16_384;
/** Sequences of a micro-batch. */
export const MOST_BATCH = 4_096;
/** Generations of a million lives of an orchestrator. */
export const MOST_GENERATIONS = 1_000_000_000_000;

const vocabulary = z.int().min(2).max(1_000_000);

/**
 * A Llama-type language model: RMSNorm, RoPE, causal attention, SwiGLU, no biases, untied output
 * matrix. Parameters per block: `4·width² + 3·width·hidden + 2·width`.
 */
export const llamaSpec = z.strictObject({
  kind: z.literal("llama"),
  vocabulary,
  width: z.int().min(8).max(65_536),
  heads: z.int().min(1).max(1024),
  blocks: z.int().min(1).max(1024),
  /** Width of the feed-forward layer. */
  hidden: z.int().min(8).max(262_144),
  ropeBase: z.number().positive(),
  normEpsilon: z.number().positive(),
});
export type LlamaSpec = z.infer<typeof llamaSpec>;

/** Of an input, an output or a dimension, as a model file gives it. */
const fileName = z.string().min(1).max(200);
/** As many as travel in a control message with room to spare. */
const MOST_NAMES = 64;

/** Protobuf's limit for one message, and so for a model in one file. */
export const LARGEST_MODEL_FILE_BYTES = 2 ** 31 - 1;

/** A language model of somebody else's, as an ONNX file that holds its parameters. */
export const onnxSpec = z.strictObject({
  kind: z.literal("onnx"),
  /** The file, in the network's content-addressed store. */
  file: z.strictObject({
    sha256: sha256Hex,
    bytes: z.int().positive().max(LARGEST_MODEL_FILE_BYTES),
  }),
  vocabulary,
  /** The input that takes token numbers, `[batch, sequence]`, of any integer type. */
  tokens: fileName,
  /** The output of scores, `[batch, sequence, vocabulary]` or `[batch·sequence, vocabulary]`. */
  scores: fileName,
  /** Sizes of the dimensions that the file leaves open; 0 for a cache of what came before. */
  sizes: fewNames(z.int().nonnegative().max(LARGEST_MODEL_FILE_BYTES)),
  /** Other inputs, each filled with one number (an attention mask with 1) or with 0, 1, 2, … along its last axis. */
  fixed: fewNames(z.union([z.number(), z.literal("positions")])),
  /** Stored tensors that do not train whatever they are, as patterns with `*` and `?`. */
  freeze: z.array(fileName).max(MOST_NAMES).optional(),
  /** Stored tensors that do; stronger than `freeze`. */
  train: z.array(fileName).max(MOST_NAMES).optional(),
});
export type OnnxSpec = z.infer<typeof onnxSpec>;

export const modelSpec = z.discriminatedUnion("kind", [llamaSpec, onnxSpec, decoderSpec]);
export type ModelSpec = z.infer<typeof modelSpec>;

/** A file by its digest, in the network's content-addressed store. */
export interface StoredFile {
  readonly sha256: string;
  readonly bytes: number;
}

/** The files that hold a model's parameters; none for one that is built in. */
export function modelFilesOf(model: ModelSpec): readonly StoredFile[] {
  switch (model.kind) {
    case "llama":
      return [];
    case "onnx":
      return [model.file];
    case "decoder":
      return model.files;
  }
}

function fewNames<Value extends z.ZodType>(value: Value) {
  return z
    .record(fileName, value)
    .refine((record) => Object.keys(record).length <= MOST_NAMES, `More than ${MOST_NAMES} names.`);
}

/** AdamW with linear warm-up and cosine decay. */
export const optimizerSpec = z.strictObject({
  learningRate: z.number().positive(),
  warmupSteps: z.int().nonnegative().max(MOST_STEPS),
  /** The step at which the cosine reaches `finalFraction`; beyond it the rate stays there. */
  decaySteps: z.int().positive().max(MOST_STEPS),
  finalFraction: z.number().min(0).max(1),
  beta1: z.number().min(0).max(1),
  beta2: z.number().min(0).max(1),
  epsilon: z.number().positive(),
  weightDecay: z.number().nonnegative(),
});
export type OptimizerSpec = z.infer<typeof optimizerSpec>;

/** Everything that names a run's mathematics: two nodes with equal specs compute equal numbers. */
export const runSpec = z.strictObject({
  runId: z.string().min(1).max(64),
  name: z.string().min(1).max(120),
  model: modelSpec,
  stages: z.int().min(1).max(MOST_STAGES),
  /** Sequences per micro-batch. */
  batch: z.int().min(1).max(MOST_BATCH),
  /** Tokens per sequence. */
  sequence: z.int().min(2).max(131_072),
  /** Micro-batches per step, `M`. */
  microBatches: z.int().min(1).max(MOST_MICRO_BATCHES),
  optimizer: optimizerSpec,
  arithmetic: arithmetic.default("fast"),
  kernels: kernels.default(KERNELS.fast),
  /** How tensors travel between stages; absent: as they are. */
  codecs: linkCodecs.optional(),
  seed: z.int().nonnegative(),
  /** Training ends after this many steps; null: it goes on. */
  steps: z.int().positive().max(MOST_STEPS).nullable(),
  evaluateEverySteps: z.int().positive().max(MOST_STEPS),
  /** Held-out micro-batches in one evaluation. */
  evaluationMicroBatches: z.int().positive().max(MOST_MICRO_BATCHES),
  checkpointEverySteps: z.int().positive().max(MOST_STEPS),
  /** Every so many steps the digest of the whole state goes into the chain; absent: by the tokens of a step (state-chain.ts). */
  digestEverySteps: z.int().positive().max(MOST_STEPS).optional(),
  /** The training text: what comes first trains, what comes last is held out. */
  corpus: z.strictObject({
    name: z.string().max(200),
    sha256: sha256Hex,
    bytes: z.int().positive(),
    /** Width of a token: little-endian unsigned numbers. 1: text, each byte a token. */
    tokenBytes: z.union([z.literal(1), z.literal(2), z.literal(4)]),
    /** Tokens that train, from its beginning; the rest is a validation set. Without: 95 % of all. */
    trainingTokens: z.int().positive().optional(),
    /** Of one that is read in chunks (corpus-chunks.ts); absent: it is read as a whole. */
    chunks: corpusChunks.optional(),
  }),
});
export type RunSpec = z.infer<typeof runSpec>;

/** Steps after which every stage stores its state with the network: every so many, and the last. */
export function isCheckpointStep(
  { checkpointEverySteps, steps }: Pick<RunSpec, "checkpointEverySteps" | "steps">,
  step: number,
): boolean {
  return step > 0 && (step % checkpointEverySteps === 0 || step === steps);
}

/** Part of the corpus that is kept for evaluation, from its end, where it has no validation set. */
export const HELD_OUT_FRACTION = 0.05;

/** What a newcomer's computer trains: 2.5 M parameters in 3 stages. */
export const DEFAULT_MODEL: LlamaSpec = {
  kind: "llama",
  vocabulary: 256,
  width: 256,
  heads: 4,
  blocks: 3,
  hidden: 704,
  ropeBase: 10_000,
  normEpsilon: 1e-5,
};

export const DEFAULT_OPTIMIZER: OptimizerSpec = {
  learningRate: 2e-3,
  warmupSteps: 10,
  decaySteps: 2_000,
  finalFraction: 0.1,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.1,
};
