import type { OptimizerSpec } from "../src-protocol/model.ts";
import { adamwFactors } from "./adamw.ts";
import { closeGraph } from "./graph.ts";
import type { Graph } from "./graph.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { OPERATORS } from "./operators.ts";
import type { ParameterInfo } from "./stage.ts";
import type { Tensor } from "./tensor.ts";

type Trained = readonly Pick<ParameterInfo, "shape" | "decay">[];

/**
 * `adamwStep` as a graph, for providers that keep parameters in their own memory. On a CPU the loops
 * over typed arrays are faster, as a graph's outputs are copied.
 *
 * For parameter i there are the inputs `p_i`, `g_i` (the gradient), `m_i`, `v_i`, of its shape, and
 * the outputs `next_p_i`, `next_m_i`, `next_v_i`. What changes from step to step is fed as scalars
 * (`adamwFeeds`), so one session serves a whole run. Names are numbers because a model's own names
 * may be anything.
 */
export function adamwGraph(
  parameters: Trained,
  { beta1, beta2, epsilon }: Pick<OptimizerSpec, "beta1" | "beta2" | "epsilon">,
): Graph {
  const graph = new GraphBuilder(OPERATORS);
  const scalar = (name: keyof AdamwFeeds): Tensor => graph.input(name, []);
  const [gradientScale, keep] = [scalar("gradientScale"), scalar("keep")];
  const [correctedRate, correction2] = [scalar("correctedRate"), scalar("correction2")];
  const outputs: Record<string, Tensor> = {};
  for (const [i, { shape, decay }] of parameters.entries()) {
    const input = (name: string): Tensor => graph.input(`${name}_${i}`, shape);
    const [p, m, v] = [input("p"), input("m"), input("v")];
    const g = input("g").mul(gradientScale);
    const nextM = m.mul(beta1).add(g.mul(1 - beta1));
    const nextV = v.mul(beta2).add(g.mul(g).mul(1 - beta2));
    const move = nextM.mul(correctedRate).div(nextV.sqrt().mul(correction2).add(epsilon));
    outputs[`next_p_${i}`] = (decay ? p.mul(keep) : p).sub(move);
    outputs[`next_m_${i}`] = nextM;
    outputs[`next_v_${i}`] = nextV;
  }
  return closeGraph(graph, outputs);
}

/** The scalars of one step, each of shape []. */
export type AdamwFeeds = Record<"gradientScale" | "keep" | "correctedRate" | "correction2", number>;

/** @param step taken before this one: 0 for the first */
export function adamwFeeds(optimizer: OptimizerSpec, step: number, gradientScale: number): AdamwFeeds {
  return { gradientScale, ...adamwFactors(optimizer, step) };
}

/**
 * The sum of the squares of all gradients `g_i`, as `squares` []: whether a step may be taken, and
 * what clipping needs, without bringing the gradients themselves to the CPU.
 */
export function gradientSquaresGraph(parameters: Trained): Graph {
  const graph = new GraphBuilder(OPERATORS);
  const sums = parameters.map(({ shape }, i) => {
    const g = graph.input(`g_${i}`, shape);
    // Rows first: a GPU sums them side by side.
    const rows = shape.length > 1 ? g.mul(g).rows().sum(1) : g.mul(g);
    return rows.sumTo([]);
  });
  const total = sums.reduce((sum, each) => sum.add(each), graph.full([], 0));
  return closeGraph(graph, { squares: total });
}

/**
 * `zero_i` of each parameter's shape: what gradients are added to. The number comes as the input
 * `zero` [], as a constant would be unfolded into as much memory again.
 */
export function zerosGraph(parameters: readonly Pick<ParameterInfo, "shape">[]): Graph {
  const graph = new GraphBuilder(OPERATORS);
  const zero = graph.input("zero", []);
  return closeGraph(
    graph,
    Object.fromEntries(parameters.map(({ shape }, i) => [`zero_${i}`, zero.expand(shape)])),
  );
}

/** A tensor handed on unchanged, `from` → `to`: run with its ends in different memories, it is a copy between them. */
export function copyGraph(shape: readonly number[]): Graph {
  const graph = new GraphBuilder(OPERATORS);
  return closeGraph(graph, { to: graph.input("from", shape) });
}
