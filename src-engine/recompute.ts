import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { bytesOf, nodesBehind, producersOf, productFlops } from "./cut-cost.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import { leastCut } from "./least-cut.ts";
import type { Tensor } from "./tensor.ts";

/**
 * What a stage keeps of its forward until the gradient comes back (Korthikanti et al., "Reducing
 * activation recomputation", arXiv:2205.05198). A node chooses for itself: the numbers are equal.
 *
 * - `full`: its input alone; the backward computes the whole forward again.
 * - `selective`: also what spares it all products with parameters, which are most of the work and part
 *   of the memory. Norms and activations are computed again, and so are attention's weights where they
 *   take more than those products: they grow with the square of the sequence.
 */
export const RECOMPUTE = ["full", "selective"] as const;
export type Recompute = (typeof RECOMPUTE)[number];

/**
 * How little a stage can keep. Where bits count nobody chooses: in GPT-2's stages ONNX Runtime's optimiser makes
 * other graphs of results that are computed again than of those that are kept.
 */
export function leastKept(arithmetic: Arithmetic): Recompute {
  return arithmetic === "exact" ? "selective" : "full";
}

/**
 * The results of the forward that `selective` keeps, in the order in which they are computed: of all
 * that would spare the backward the products, the fewest bytes, and of these what spares it most. So
 * a query is kept with its position in it, and weights of attention, not what their softmax is of.
 * `forward`: how many of the graph's nodes are the forward's.
 */
export function keptTensors(
  graph: GraphBuilder,
  forward: number,
  parameters: readonly Tensor[],
  gradients: readonly Tensor[],
): Tensor[] {
  const nodes = graph.nodes.slice(0, forward);
  const ofParameters = new Set(parameters);
  // What is made of parameters and constants alone: a transposed weight is one, an activation is not.
  for (const { inputs, outputs } of nodes) {
    const isOwn = inputs.every((input) => ofParameters.has(input) || input.value);
    if (isOwn && inputs.some((input) => ofParameters.has(input)))
      for (const output of outputs) ofParameters.add(output);
  }
  const products = nodes.filter(
    (node) => productFlops(node) > 0 && !node.outputs.some((output) => ofParameters.has(output)),
  );
  const sizeOf = ({ outputs }: { outputs: readonly Tensor[] }): number => Math.max(...outputs.map(bytesOf));
  const withParameters = products.filter(({ inputs }) => inputs.some((input) => ofParameters.has(input)));
  const largest = Math.max(0, ...withParameters.map(sizeOf));
  const spared = products.filter((product) => sizeOf(product) <= largest);

  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  const read = nodesBehind(producersOf(graph.nodes), gradients, made)
    .flatMap(({ inputs }) => inputs)
    .filter((input) => made.has(input));
  const cut = leastCut({
    edges: nodes.flatMap(({ inputs, outputs }) =>
      inputs.flatMap((input) => outputs.map((output) => [input, output] as const)),
    ),
    sources: spared.flatMap(({ outputs }) => outputs),
    sinks: read,
    // Whatever is of another type, a mask say, is made of these.
    costOf: (tensor) => (tensor.type === graph.float ? bytesOf(tensor) : Infinity),
  });
  return [...made].filter((tensor) => cut.has(tensor));
}
