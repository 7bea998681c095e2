import type { LlamaSpec } from "../src-protocol/model.ts";
import { cutGraph, FLOAT32_ADAMW, type Stage, type TrainingBytes } from "./cut.ts";
import type { NodeCapacity } from "./cut-balance.ts";
import { llamaModel } from "./llama-model.ts";
import type { MicroBatchShape } from "./llama.ts";

/**
 * A computer of 8 GiB of which training may take three quarters: the system and an open browser have
 * the rest. 100 GFLOP/s is what two cores sustain; 20 Mbit/s is a usual uplink.
 */
export const DEFAULT_NODE: NodeCapacity = {
  memoryBytes: 0.75 * 8 * 2 ** 30,
  flopsPerSecond: 1e11,
  bytesPerSecond: 2.5e6,
};

export interface PlanOptions {
  /** null: as few as fit. */
  stages?: number | null;
  shape?: MicroBatchShape;
  bytes?: TrainingBytes;
}

export interface Plan {
  stages: readonly Omit<Stage, "forward" | "backward" | "train">[];
  /** Of the whole model; a parameter that several stages hold counts once. */
  parameterCount: number;
  /** What one stage boundary carries for a token, in each direction, in float32. */
  bytesPerTokenAndBoundary: number;
  /** Sent by all nodes together for one token: activations forward, gradients back. */
  bytesPerToken: number;
  /** The most that one node needs. */
  peakBytes: number;
}

/**
 * How a built-in model is divided among `nodes`: contiguous stages, one a node, cut where one
 * activation is live (between blocks, and between attention and feed-forward).
 *
 * Counted as the engine trains today (`FLOAT32_ADAMW`: 20 bytes a parameter), with micro-batches of
 * 1 × 512 tokens and every result of a stage's backward graph, which computes the forward again.
 *
 * @throws Failure `does-not-fit`, `too-many-stages`
 */
export function plan(
  model: LlamaSpec,
  nodes: readonly NodeCapacity[],
  { stages = null, shape = { batch: 1, sequence: 512 }, bytes = FLOAT32_ADAMW }: PlanOptions = {},
): Plan {
  return planOf(cutGraph(llamaModel(model, shape), { stages, nodes, bytes }), shape.batch * shape.sequence);
}

/** The figures of a cut model. `tokens`: in one micro-batch (or sequences, pictures, rows). */
export function planOf(stages: readonly Stage[], tokens: number): Plan {
  const sizes = new Map(stages.flatMap(({ parameters }) => parameters.map(({ name, size }) => [name, size])));
  const boundaries = stages.map(({ boundaryBytes }) => boundaryBytes.out);
  return {
    stages: stages.map(({ forward: _forward, backward: _backward, train: _train, ...stage }) => stage),
    parameterCount: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    bytesPerTokenAndBoundary: Math.max(0, ...boundaries) / tokens,
    bytesPerToken: (2 * boundaries.reduce((sum, bytes) => sum + bytes, 0)) / tokens,
    peakBytes: Math.max(...stages.map(({ memory }) => memory.full.peakBytes)),
  };
}
