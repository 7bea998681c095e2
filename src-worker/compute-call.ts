import type { Capabilities } from "../src-protocol/control.ts";
import type { FailureBody } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";

/** What the main thread asks of the compute thread. Tensors travel by transfer, never as JSON. */

export type ExecutionProvider = Capabilities["executionProvider"];

export interface ComputeOptions {
  readonly threads: number;
  readonly executionProvider: ExecutionProvider;
  /** Niceness of the compute thread, above the process's own; null: leave it. */
  readonly niceness: number | null;
}

/** The part of a run that decides a stage's graphs. */
export type StageSpec = Pick<RunSpec, "model" | "batch" | "sequence" | "stages"> & { readonly stage: number };

/** Tokens for the head, activations `[batch·sequence, width]` for the others. */
export type StageInput = Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
export type Activations = Float32Array<ArrayBuffer>;

export interface ComputeCalls {
  /** Takes over `memory`; with a seed it also fills it with the initial parameters. Forgets kept inputs and gradients. */
  load: { request: { spec: StageSpec; memory: SharedArrayBuffer; seed: number | null }; answer: null };
  /** Forgets kept inputs and gradients; parameters stay. */
  reset: { request: Record<string, never>; answer: null };
  /** `keep`: the input is wanted again by `backward` of the same micro-batch. */
  forward: {
    request: { microBatch: number; input: StageInput; keep: boolean };
    answer: { output: Activations };
  };
  /** Recomputes the forward of a kept input; adds to the gradients. `output` is null for the head. */
  backward: { request: { microBatch: number; dy: Activations }; answer: { output: Activations | null } };
  /** Forward and backward of the last stage; adds to the gradients. Loss in nats per token. */
  tail: {
    request: { input: StageInput; targets: Int32Array<ArrayBuffer> };
    answer: { loss: number; output: Activations | null };
  };
  /** Loss alone, for evaluation. */
  loss: { request: { input: StageInput; targets: Int32Array<ArrayBuffer> }; answer: { loss: number } };
  /** AdamW with the mean of `microBatches` gradients; `step` counts from 0. */
  optimise: {
    request: { optimizer: RunSpec["optimizer"]; step: number; microBatches: number };
    answer: null;
  };
}

export type ComputeCall = keyof ComputeCalls;

export type ComputeRequest = {
  [C in ComputeCall]: { readonly id: number; readonly call: C; readonly request: ComputeCalls[C]["request"] };
}[ComputeCall];

export type ComputeAnswer =
  | {
      readonly id: number;
      readonly answer: ComputeCalls[ComputeCall]["answer"];
      /** Time on the compute thread. */
      readonly ms: number;
    }
  | { readonly id: number; readonly failure: FailureBody };
