import type { LlamaSpec } from "../src-protocol/model.ts";
import { cos, power, sin } from "./portable-math.ts";
import type { Tensor, TensorGraph } from "./tensor.ts";

/** The sequences of a micro-batch. Activations are `[batch·sequence, width]`, row-major. */
export interface MicroBatchShape {
  batch: number;
  /** Tokens per sequence. */
  sequence: number;
}

type Parameters = (name: string) => Tensor;

/**
 * A block of the Llama type (arXiv:2302.13971): attention and SwiGLU, each after an RMSNorm and
 * added to the residual stream `x` [batch·sequence, width]. `parameter("query")` gives the block's
 * own tensors. Query, key and value stay separate: merged they were not faster.
 */
export function block(x: Tensor, parameter: Parameters, model: LlamaSpec, shape: MicroBatchShape): Tensor {
  const attended = x.add(attention(norm(x, parameter("norm1"), model), parameter, model, shape));
  const input = norm(attended, parameter("norm2"), model);
  const hidden = x.graph.apply("SwiGLU", [input.matmul(parameter("gate")), input.matmul(parameter("up"))]);
  return attended.add(hidden.gemm(parameter("down")));
}

/** Activations [batch·sequence, width] of byte or word `tokens` [batch·sequence]. */
export function embed(tokens: Tensor, embedding: Tensor): Tensor {
  return embedding.gather(tokens);
}

/** Scores [batch·sequence, vocabulary] of the next token. */
export function scores(x: Tensor, finalNorm: Tensor, output: Tensor, model: LlamaSpec): Tensor {
  return norm(x, finalNorm, model).matmul(output);
}

function norm(x: Tensor, weight: Tensor, { normEpsilon }: LlamaSpec): Tensor {
  return x.graph.apply("RMSNormalization", [x, weight], { epsilon: normEpsilon });
}

function attention(
  x: Tensor,
  parameter: Parameters,
  model: LlamaSpec,
  { batch, sequence }: MicroBatchShape,
): Tensor {
  const { graph } = x;
  const { width, heads, ropeBase } = model;
  const size = width / heads;
  const perHead = (name: string): Tensor =>
    x
      .matmul(parameter(name))
      .reshape([batch, sequence, heads, size])
      .transpose(0, 2, 1, 3)
      .reshape([batch * heads, sequence, size]);
  const angles = rotaryTables(graph, sequence, size / 2, ropeBase);
  const rotated = (name: string): Tensor => graph.apply("Rotary", [perHead(name), ...angles]);
  const result = graph.apply("CausalAttention", [rotated("query"), rotated("key"), perHead("value")]);
  return result
    .reshape([batch, heads, sequence, size])
    .transpose(0, 2, 1, 3)
    .reshape([batch * sequence, width])
    .gemm(parameter("output"));
}

/** cos and sin [sequence, half] of the angle `t · base^(-i/half)` at position t, pair i. */
function rotaryTables(graph: TensorGraph, sequence: number, half: number, base: number): [Tensor, Tensor] {
  const angles = Array.from(
    { length: sequence * half },
    (_, k) => Math.floor(k / half) * power(base, -(k % half) / half),
  );
  const table = (of: (angle: number) => number): Tensor =>
    graph.constant(graph.float, [sequence, half], angles.map(of));
  return [table(cos), table(sin)];
}
