import { z } from "zod";

/**
 * A Llama-type language model: RMSNorm, RoPE, causal attention, SwiGLU, no biases, untied output
 * matrix. Parameters per block: `4·width² + 3·width·hidden + 2·width`.
 */
export const modelSpec = z.strictObject({
  kind: z.literal("llama"),
  vocabulary: z.int().min(2).max(1_000_000),
  width: z.int().min(8).max(65_536),
  heads: z.int().min(1).max(1024),
  blocks: z.int().min(1).max(1024),
  /** Width of the feed-forward layer. */
  hidden: z.int().min(8).max(262_144),
  ropeBase: z.number().positive(),
  normEpsilon: z.number().positive(),
});
export type ModelSpec = z.infer<typeof modelSpec>;

/** AdamW with linear warm-up and cosine decay. */
export const optimizerSpec = z.strictObject({
  learningRate: z.number().positive(),
  warmupSteps: z.int().nonnegative(),
  /** The step at which the cosine reaches `finalFraction`; beyond it the rate stays there. */
  decaySteps: z.int().positive(),
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
  stages: z.int().min(1).max(1024),
  /** Sequences per micro-batch. */
  batch: z.int().min(1).max(4096),
  /** Tokens per sequence. */
  sequence: z.int().min(2).max(131_072),
  /** Micro-batches per step, `M`. */
  microBatches: z.int().min(1).max(4096),
  optimizer: optimizerSpec,
  seed: z.int().nonnegative(),
  /** Training ends after this many steps; null: it goes on. */
  steps: z.int().positive().nullable(),
  evaluateEverySteps: z.int().positive(),
  /** Held-out micro-batches in one evaluation. */
  evaluationMicroBatches: z.int().positive(),
  checkpointEverySteps: z.int().positive(),
  /** The training text: first 95 % trains, last 5 % is held out. */
  corpus: z.strictObject({
    name: z.string().max(200),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    bytes: z.int().positive(),
  }),
});
export type RunSpec = z.infer<typeof runSpec>;

/** Part of the corpus that is kept for evaluation, from its end. */
export const HELD_OUT_FRACTION = 0.05;

/** What a newcomer's computer trains: 2.5 M parameters in 3 stages. */
export const DEFAULT_MODEL: ModelSpec = {
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
