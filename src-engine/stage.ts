import { Failure } from "../src-protocol/failure.ts";
import type { ModelSpec } from "../src-protocol/model.ts";

/** A trainable tensor. Matrices are stored `[in, out]`, row-major, so that a layer is `x · W`. */
export interface ParameterInfo {
  /** Unique in the model, e.g. `blocks.2.query`. Also the name of the graph input. */
  name: string;
  shape: readonly number[];
  /** Number of values, the product of `shape`. */
  size: number;
  /** Whether AdamW's weight decay applies: to matrices, not to the weights of norms. */
  decay: boolean;
}

/** Floating-point operations for one token. */
export interface FlopsPerToken {
  forward: number;
  /** Without the recomputed forward. */
  backward: number;
}

/** A contiguous part of the model: what one node serves. */
export interface StagePlan {
  /** 0 is the head. */
  index: number;
  stages: number;
  /** Takes tokens: holds the embedding. */
  isHead: boolean;
  /** Gives the loss: holds the final norm and the output matrix. */
  isTail: boolean;
  /** The stage's blocks are `firstBlock … firstBlock + blockCount - 1` of the model. */
  firstBlock: number;
  blockCount: number;
  parameters: readonly ParameterInfo[];
  parameterCount: number;
  /**
   * FLOPs of the matrix products for one token in a sequence of `sequence` tokens (a multiply-add
   * counts 2; attention counts the full, unmasked square; the embedding is a lookup and counts 0):
   *
   *     forward  = blocks · (2·(4·width² + 3·width·hidden) + 4·sequence·width)
   *                + (tail) 2·width·vocabulary
   *     backward = 2 · forward
   */
  flopsPerToken(sequence: number): FlopsPerToken;
}

/**
 * Cuts a model into `stages` contiguous stages of at least one block each, so that the slowest
 * stage has as few FLOPs as possible. The first has the embedding, the last the output matrix.
 *
 * @throws Failure `too-many-stages` when there are more stages than blocks
 * @throws Failure `bad-model` when the heads do not divide the width into even parts
 */
export function cutModel(model: ModelSpec, stages: number): StagePlan[] {
  if (model.width % (2 * model.heads) !== 0) {
    throw new Failure(
      "bad-model",
      `The width ${model.width} is not divided by ${model.heads} heads into even parts, which rotary positions need. ` +
        `Choose a width that is a multiple of ${2 * model.heads}.`,
    );
  }
  if (!Number.isInteger(stages) || stages < 1 || stages > model.blocks) {
    throw new Failure(
      "too-many-stages",
      `A model of ${model.blocks} blocks cannot be cut into ${stages} stages, because a stage has at least one block. ` +
        `Choose 1 to ${model.blocks} stages, or a model with more blocks.`,
    );
  }
  const block = blockFlops(model, 0);
  const costs = Array.from({ length: stages }, (_, i) => block + (i === stages - 1 ? tailFlops(model) : 0));
  const counts = costs.map(() => 1);
  // Blocks are alike, so giving each to the cheapest stage minimises the maximum.
  for (let left = model.blocks - stages; left > 0; left--) {
    const cheapest = costs.indexOf(Math.min(...costs));
    costs[cheapest] = (costs[cheapest] ?? 0) + block;
    counts[cheapest] = (counts[cheapest] ?? 0) + 1;
  }
  let firstBlock = 0;
  return counts.map((blockCount, index) => {
    const plan = stagePlan(model, index, stages, firstBlock, blockCount);
    firstBlock += blockCount;
    return plan;
  });
}

function stagePlan(
  model: ModelSpec,
  index: number,
  stages: number,
  firstBlock: number,
  blockCount: number,
): StagePlan {
  const isHead = index === 0;
  const isTail = index === stages - 1;
  const blocks = Array.from({ length: blockCount }, (_, i) => blockParameters(model, firstBlock + i));
  const parameters = [
    ...(isHead ? [parameter("embedding", model.vocabulary, model.width)] : []),
    ...blocks.flat(),
    ...(isTail
      ? [parameter("final.norm", model.width), parameter("final.output", model.width, model.vocabulary)]
      : []),
  ];
  return {
    index,
    stages,
    isHead,
    isTail,
    firstBlock,
    blockCount,
    parameters,
    parameterCount: parameters.reduce((sum, { size }) => sum + size, 0),
    flopsPerToken: (sequence) => {
      const forward = blockCount * blockFlops(model, sequence) + (isTail ? tailFlops(model) : 0);
      return { forward, backward: 2 * forward };
    },
  };
}

function blockParameters({ width, hidden }: ModelSpec, block: number): ParameterInfo[] {
  const name = (part: string): string => `blocks.${block}.${part}`;
  return [
    parameter(name("norm1"), width),
    parameter(name("query"), width, width),
    parameter(name("key"), width, width),
    parameter(name("value"), width, width),
    parameter(name("output"), width, width),
    parameter(name("norm2"), width),
    parameter(name("gate"), width, hidden),
    parameter(name("up"), width, hidden),
    parameter(name("down"), hidden, width),
  ];
}

function parameter(name: string, ...shape: number[]): ParameterInfo {
  return { name, shape, size: shape.reduce((a, b) => a * b, 1), decay: shape.length > 1 };
}

function blockFlops({ width, hidden }: ModelSpec, sequence: number): number {
  return 2 * (4 * width * width + 3 * width * hidden) + 4 * sequence * width;
}

function tailFlops({ width, vocabulary }: ModelSpec): number {
  return 2 * width * vocabulary;
}
