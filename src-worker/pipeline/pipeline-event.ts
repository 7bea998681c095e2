import type { TensorMeta } from "../../src-protocol/peer.ts";

/** What the pipeline machine knows, hears and wants: see pipeline.ts. `X` is a tensor, whatever that is. */

export type Pass = TensorMeta["pass"];

export interface PipelinePlan {
  readonly stage: number;
  readonly stages: number;
  /** `M`: gradients in one optimiser step. */
  readonly microBatches: number;
  /** Micro-batches in one evaluation. */
  readonly evaluationMicroBatches: number;
  /** Whether gradients of tied parameters are summed over the stages before each step. */
  readonly hasTies: boolean;
}

export interface Work<X> {
  readonly pass: Pass;
  readonly step: number;
  readonly microBatch: number;
  /** Null at the head, which makes its own tokens. */
  readonly input: X | null;
}

/**
 * `tail` is forward and backward in one, `loss` the evaluation at the tail. `tie` adds this stage's
 * tied gradients to those that came (`add`), or takes over what came (`set`), or both at the head.
 */
export type TensorJob<X> =
  | (Work<X> & { readonly kind: "forward" | "evaluate" | "backward" | "tail" | "loss" })
  | (Work<X> & { readonly kind: "tie"; readonly add: boolean; readonly set: boolean });
export type Job<X> = TensorJob<X> | { readonly kind: "optimise"; readonly step: number };

export interface PipelineState<X> {
  readonly plan: PipelinePlan;
  /** What is given next is computed with the parameters of this step. */
  readonly step: number;
  readonly forwards: readonly Work<X>[];
  readonly backwards: readonly Work<X>[];
  /** On the compute thread, which works on the first. */
  readonly running: readonly Job<X>[];
  /** What the last job took. */
  readonly lastMs: number;
  /** What has to come next from the previous stage; micro-batches are sent in order. */
  readonly due: { readonly step: number; readonly forward: number; readonly evaluate: number };
  /** In this step: run forward, gradients received, gradients worked. */
  readonly sent: number;
  readonly returned: number;
  readonly finished: number;
  /** The step whose snapshot is on its way to the disk. */
  readonly saving: number | null;
  readonly lossSum: number;
  readonly evaluation: { readonly count: number; readonly sum: number };
  /** Of this step: whether this stage's part was added, and the whole taken over; what came for that. */
  readonly tie: { readonly added: boolean; readonly isDone: boolean; readonly arrived: X | null };
  readonly computeMs: number;
  /** Of the step before `step`, whose optimiser step is under way; null: none is. */
  readonly closing: { readonly lossSum: number; readonly computeMs: number } | null;
  /** After trouble nothing more is done: the orchestrator forms a new generation. */
  readonly stopped: boolean;
}

export type PipelineEvent<X> =
  | {
      readonly type: "grant";
      readonly step: number;
      readonly microBatches: number;
      readonly evaluations: number;
    }
  | {
      readonly type: "tensor";
      readonly pass: Pass;
      readonly step: number;
      readonly microBatch: number;
      readonly input: X;
    }
  | { readonly type: "tied"; readonly from: "previous" | "next"; readonly step: number; readonly input: X }
  | {
      readonly type: "computed";
      readonly output: X | null;
      readonly loss: number | null;
      readonly ms: number;
    }
  | { readonly type: "saved" };

export type PipelineEffect<X> =
  | { readonly type: "compute"; readonly job: Job<X> }
  | {
      readonly type: "send";
      readonly to: "previous" | "next";
      readonly pass: Pass;
      readonly step: number;
      readonly microBatch: number;
      readonly output: X;
    }
  /** The stage's whole work on this micro-batch is done: time for its receipt. */
  | { readonly type: "worked"; readonly step: number; readonly microBatch: number }
  | {
      readonly type: "stepped";
      readonly step: number;
      readonly loss: number | null;
      readonly computeMs: number;
    }
  | { readonly type: "evaluated"; readonly step: number; readonly loss: number }
  | { readonly type: "save"; readonly step: number }
  | { readonly type: "saved"; readonly step: number }
  | { readonly type: "trouble"; readonly code: string; readonly message: string };

export interface Outcome<X> {
  readonly state: PipelineState<X>;
  readonly effects: readonly PipelineEffect<X>[];
}
