import { z } from "zod";
import { decoderSpec, MOST_MODEL_FILES } from "./decoder.ts";
import { onnxSpec } from "./model.ts";

/** `tah model try`, `train`, `inspect` ↔ the process that runs a model's file once or a few times, over Node's IPC channel. */
const token = z.int().nonnegative();

/** Sequences, and tokens of each, that one run of the graph takes. */
const shape = {
  batch: z.int().min(1).max(4096),
  sequence: z.int().min(1).max(131_072),
};

const model = z.union([
  z.strictObject({
    modelFile: z.string().min(1),
    spec: onnxSpec.pick({ tokens: true, scores: true, sizes: true, fixed: true }),
    ...shape,
  }),
  /** Of a folder: its safetensors files. */
  z.strictObject({
    modelFiles: z.array(z.string().min(1)).min(1).max(MOST_MODEL_FILES).readonly(),
    spec: decoderSpec,
    ...shape,
  }),
]);

export const LARGEST_TRIAL_TOKENS = 100_000;

export const trialRequest = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("write"),
    model,
    /** What each text begins with; at least one token. */
    prompts: z.array(z.array(token).min(1)).min(1).max(1000),
    /** How many tokens are written after each. */
    tokens: z.int().positive().max(LARGEST_TRIAL_TOKENS),
    /** 0: always the likeliest token. */
    temperature: z.number().min(0).max(100),
    seed: z.int().nonnegative(),
    /** Larger token numbers are never written: no text has them. */
    largestToken: token,
    /** A text ends with it; null: with none. */
    end: token.nullable(),
    /** All texts end after so long, wherever they are; null: they take the time they need. */
    mostMs: z.int().positive().nullable(),
  }),
  /** Of a run of the built-in model on this computer, after its newest checkpoint; a token is a byte of the text. */
  z.strictObject({
    type: z.literal("write-run"),
    networkFolder: z.string().min(1),
    prompts: z.array(z.string().min(1).max(2000)).min(1).max(100),
    /** How many bytes are written after each. */
    bytes: z.int().positive().max(LARGEST_TRIAL_TOKENS),
    temperature: z.number().min(0).max(100),
    seed: z.int().nonnegative(),
    mostMs: z.int().positive().nullable(),
  }),
  /** Which scores move when one token is another one. */
  z.strictObject({ type: z.literal("look"), model }),
]);
export type TrialRequest = z.infer<typeof trialRequest>;
export type WriteRunRequest = Extract<TrialRequest, { type: "write-run" }>;
export type WriteRequest = Extract<TrialRequest, { type: "write" }>;

/** How a model looks at its text. */
export const SIGHTS = ["causal", "ahead", "transposed", "blind"] as const;
export const sight = z.enum(SIGHTS);
export type Sight = z.infer<typeof sight>;

export const trialMessage = z.discriminatedUnion("type", [
  /** So many tokens of each text are there. */
  z.strictObject({ type: z.literal("writing"), tokens: z.int().nonnegative() }),
  z.strictObject({ type: z.literal("written"), texts: z.array(z.array(token)) }),
  /** `step`: steps that the checkpoint had taken. */
  z.strictObject({ type: z.literal("written-run"), step: z.int().positive(), texts: z.array(z.string()) }),
  z.strictObject({ type: z.literal("looked"), sight }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type TrialMessage = z.infer<typeof trialMessage>;
