import { nodesBehind, producersOf, productFlops } from "./cut-cost.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import type { Tensor } from "./tensor.ts";

/**
 * What a stage keeps of its forward until the gradient comes back (Korthikanti et al., "Reducing
 * activation recomputation", arXiv:2205.05198). A node chooses for itself: the numbers are equal.
 *
 * - `full`: its input alone; the backward computes the whole forward again.
 * - `selective`: also the results of products with parameters, which are most of the work and part
 *   of the memory. Attention, whose weights grow with the square of the sequence, norms and
 *   activations are computed again.
 */
export const RECOMPUTE = ["full", "selective"] as const;
export type Recompute = (typeof RECOMPUTE)[number];

/**
 * The results of the forward that `selective` keeps, in the order in which they are computed:
 * products of data and parameters that the gradients read. `forward`: how many of the graph's nodes
 * are the forward's.
 */
export function keptTensors(
  graph: GraphBuilder,
  forward: number,
  parameters: readonly Tensor[],
  gradients: readonly Tensor[],
): Tensor[] {
  const nodes = graph.nodes.slice(0, forward);
  const trained = new Set(parameters);
  const ofParameters = new Set(parameters);
  // What is made of parameters and constants alone: a transposed weight is one, an activation is not.
  for (const { inputs, outputs } of nodes) {
    const isOwn = inputs.every((input) => ofParameters.has(input) || input.value);
    if (isOwn && inputs.some((input) => ofParameters.has(input)))
      for (const output of outputs) ofParameters.add(output);
  }
  const products = new Set(
    nodes
      .filter((node) => productFlops(node) > 0 && node.inputs.some((input) => ofParameters.has(input)))
      .flatMap(({ outputs }) => outputs)
      .filter((output) => !ofParameters.has(output)),
  );
  const read = new Set(
    nodesBehind(producersOf(graph.nodes), gradients, new Set([...products, ...trained])).flatMap(
      ({ inputs }) => inputs,
    ),
  );
  return [...products].filter((product) => read.has(product));
}
