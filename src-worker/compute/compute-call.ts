import type { Recompute } from "../../src-engine/recompute.ts";
import type { ParameterInfo, Stage } from "../../src-engine/stage.ts";
import type { FailureBody } from "../../src-protocol/failure.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import type { FileHead } from "../disk/header-last.ts";

/** What the main thread asks of the compute thread. Tensors travel by transfer, never as JSON. */

export interface ComputeOptions {
  readonly threads: number;
  readonly executionProvider: ExecutionProvider;
  /** Niceness of the compute thread, above the process's own; null: leave it. */
  readonly niceness: number | null;
}

/** The part of a run that decides a stage's graphs. `fast` where no arithmetic is named. */
export type StageSpec = Pick<RunSpec, "model" | "batch" | "sequence" | "stages"> &
  Partial<Pick<RunSpec, "arithmetic" | "kernels">> & { readonly stage: number };

/** A stage without its graphs, which stay where they are computed. */
export type StageInfo = Omit<Stage, "forward" | "backward" | "train"> & {
  /** Parameters of the model that several stages hold: their gradients are summed before each step. */
  readonly ties: readonly ParameterInfo[];
  /** By stage and tie: in how many sums of gradients the stage has it; 0: it does not hold it. */
  readonly tiedSums: readonly (readonly number[])[];
};

/** Tokens for the head, activations of the stage's input shape for the others. */
export type StageInput = Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
export type Activations = Float32Array<ArrayBuffer>;

/**
 * Gives an array's memory back at once; the array is empty from then on. Tensors are megabytes
 * that live for milliseconds: left to the garbage collector they make it run several times a step,
 * and each buffer is fresh, cold memory.
 */
export function release(array: ArrayBufferView<ArrayBuffer>): void {
  if (!array.buffer.detached) array.buffer.transfer(0);
}

/** `tokens` and `targets` of a micro-batch, for a stage that reads them. */
export interface StageData {
  readonly tokens?: Int32Array<ArrayBuffer>;
  readonly targets?: Int32Array<ArrayBuffer>;
}

/**
 * What adds to the gradients may number the sums that it leaves: `recallSums` has them again by it, within this step
 * and the next one of the same stage.
 */
export interface Noted {
  readonly note?: number | undefined;
}

export interface ComputeCalls {
  /** Reads the model and cuts it. `file`: for a model that has one. */
  open: { request: { spec: StageSpec; file: Uint8Array | null }; answer: StageInfo };
  /**
   * Prepares the stage that was opened and takes over `memory`; with a seed it also fills it with the
   * initial parameters. Forgets kept inputs and gradients. `files`: paths of a decoder's files, which
   * its initial parameters and its frozen ones are read from, by range.
   */
  load: {
    request: {
      memory: SharedArrayBuffer;
      seed: number | null;
      recompute: Recompute;
      files?: readonly string[];
    };
    answer: null;
  };
  /** Forgets gradients, but not those that were noted, and kept inputs unless they are to be kept; parameters stay. */
  reset: { request: { keepInputs?: boolean }; answer: null };
  /** `x`: null at the head. `keep`: `backward` of the same micro-batch will follow. */
  forward: {
    request: { microBatch: number; x: Activations | null; data: StageData; keep: boolean };
    answer: { output: Activations };
  };
  /** Adds to the gradients. `output` is null for the head. `note`: see `Noted`. */
  backward: {
    request: { microBatch: number; dy: Activations } & Noted;
    answer: { output: Activations | null };
  };
  /** Forward and backward of the last stage; adds to the gradients. Loss in nats per token. */
  tail: {
    request: { x: Activations | null; data: StageData } & Noted;
    answer: { loss: number; output: Activations | null };
  };
  /** Loss alone, for evaluation. */
  loss: { request: { x: Activations | null; data: StageData }; answer: { loss: number } };
  /**
   * Sums the gradients of tied parameters over stages; `values` has those of all of `ties`, null for
   * zeros. `add`: this stage's are added to it. `set`: this stage's become what it then is.
   */
  tie: {
    request: { values: Activations | null; add: boolean; set: boolean };
    answer: { output: Activations };
  };
  /** A copy of all gradient sums, one after another in the order of the stage's parameters. `clear`: they begin anew. */
  gradients: { request: { clear: boolean }; answer: { output: Activations } };
  /** These become the gradient sums. */
  setGradients: { request: { values: Activations }; answer: null };
  /** The gradient sums as they are go into a file; `isWritten` says whether they could. */
  writeSums: { request: { file: FileHead }; answer: { isWritten: boolean } };
  /** Sums that were noted become the gradient sums; `isThere`: false where they are not remembered any more. */
  recallSums: { request: { id: number }; answer: { isThere: boolean } };
  /**
   * AdamW with the mean of `microBatches` gradients; `step` counts from 0. `squaredNorm`: of the sums,
   * before they are divided, for the stage's chain.
   */
  optimise: {
    request: { optimizer: RunSpec["optimizer"]; step: number; microBatches: number };
    answer: { squaredNorm: number };
  };
  /** The memory given to `load` was filled anew, and counts from now on. */
  upload: { request: Record<string, never>; answer: null };
  /** Brings the memory given to `load` up to date, where a provider keeps parameters in its own. */
  download: { request: Record<string, never>; answer: null };
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
