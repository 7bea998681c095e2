import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { OptimizerSpec } from "../../src-protocol/model.ts";
import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import type { ParameterInfo } from "../../src-engine/stage.ts";
import type { StageInfo } from "./compute-call.ts";

/**
 * Where a stage's parameters, AdamW's moments and the gradients' sums live from run to run: in the
 * computer's memory, which the main thread saves, or in a graphics card's.
 */
export interface ParameterHome {
  /** Whether a run has added to the sums since they were last forgotten. */
  readonly hasGradients: boolean;
  /** Runs a graph of the stage. Gradients it computes are added to the sums and not among the outputs. */
  run(
    session: InferenceSession,
    feeds: Readonly<Record<string, Tensor>>,
  ): Promise<InferenceSession.OnnxValueMapType>;
  /** The sum of the squares of all parameters' gradient sums; those of uses were added to them. */
  squaredNorm(): Promise<number>;
  /** One AdamW step with the sums times `gradientScale`; forgets them. */
  optimise(optimizer: OptimizerSpec, step: number, gradientScale: number): Promise<void>;
  /** A sum of gradients by its place among `summedOf`; it may be the sum itself. */
  gradient(index: number): Promise<Float32Array>;
  setGradient(index: number, values: Float32Array): Promise<void>;
  dropGradients(): void;
  /** What was put into the computer's memory since is what counts now. */
  upload(): Promise<void>;
  /** Brings the computer's memory up to date. */
  download(): Promise<void>;
  dispose(): Promise<void>;
}

/** Of the mean of gradients. AdamW keeps g² in float32: a larger one would turn into infinity and stay. */
export const LARGEST_SQUARED_NORM = 3e38;

/** What a stage has sums of gradients for, in their order. */
export function summedOf({ parameters, uses }: Pick<StageInfo, "parameters" | "uses">): readonly Summed[] {
  return [...parameters, ...uses];
}

/** Places among them of those of one parameter: its own, and those of its further uses, in their order. */
export function sumsOf({ parameters, uses }: Pick<StageInfo, "parameters" | "uses">, name: string): number[] {
  const own = parameters.findIndex((each) => each.name === name);
  const further = uses.flatMap(({ parameter }, i) => (parameter === name ? [parameters.length + i] : []));
  return own === -1 ? [] : [own, ...further];
}

/** Values of what a stage gives to the others: each of its sums of each tied parameter, one after another. */
export function tiedCount({ ties, tiedSums }: Pick<StageInfo, "ties" | "tiedSums">, stage: number): number {
  return ties.reduce((sum, { size }, tie) => sum + size * (tiedSums[stage]?.[tie] ?? 0), 0);
}

type Summed = Pick<ParameterInfo, "name" | "shape" | "size">;

/**
 * Whether a provider's graphs can leave their outputs on the device and take them from there. Of
 * ONNX Runtime 1.30's for Node only WebGPU's can: the others copy parameters to the device in each run.
 */
export function keepsParameters(provider: ExecutionProvider): boolean {
  return provider === "webgpu";
}

/** Outputs of a stage's graphs that stay on such a device: gradients, and what a forward keeps for its backward. */
export function staysThere(output: string): boolean {
  return output.startsWith("d_") || output.startsWith("kept_");
}
