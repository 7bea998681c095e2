import { Failure } from "../../src-protocol/failure.ts";
import { nodesBehind, producersOf } from "../cut-cost.ts";
import { GraphBuilder, type Node } from "../graph-builder.ts";
import type { Tensor } from "../tensor.ts";
import { EXACT_KERNELS } from "./kernels.ts";

/** A part of a graph in kernels that give the same bits everywhere. */
export interface ExactGraph {
  graph: GraphBuilder;
  outputs: Readonly<Record<string, Tensor>>;
  inputs: ReadonlyMap<Tensor, string>;
  /** What cannot be written so, and was left as it is. */
  refused: readonly Node[];
  /** Of the tensors of the graph that was given; undefined: it is not among what was written. */
  of(tensor: Tensor): Tensor | undefined;
}

/** The part of `graph` that computes `outputs` from `inputs`, written anew by the table of exact kernels. */
export function exactGraph(
  graph: GraphBuilder,
  outputs: Readonly<Record<string, Tensor>>,
  inputs: ReadonlyMap<Tensor, string> = graph.inputs,
): ExactGraph {
  const exact = new GraphBuilder(graph.operators, graph.float);
  const made = new Map<Tensor, Tensor>();
  const copy = (tensor: Tensor): Tensor => {
    const copied =
      made.get(tensor) ?? (tensor.value && exact.constant(tensor.type, tensor.shape, tensor.value));
    if (!copied) throw new RangeError("An exact graph reads a tensor that nothing of it computes.");
    made.set(tensor, copied);
    return copied;
  };
  for (const [tensor, name] of inputs) made.set(tensor, exact.input(name, tensor.shape, tensor.type));
  const refused: Node[] = [];
  const nodes = nodesBehind(producersOf(graph.nodes), Object.values(outputs), new Set(inputs.keys()));
  for (const node of nodes) {
    const results = exact.within(node.name, () => rewritten(node, node.inputs.map(copy)));
    if (results === null) refused.push(node);
    const written = results ?? exact.applyAll(node.op, node.inputs.map(copy), node.attributes);
    for (const [i, output] of node.outputs.entries()) made.set(output, written[i] as Tensor);
  }
  return {
    graph: exact,
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, copy(tensor)])),
    inputs: new Map([...inputs].map(([tensor, name]) => [copy(tensor), name])),
    refused,
    of: (tensor) => made.get(tensor),
  };
}

/** null: there is no exact way to write it. */
function rewritten({ op, attributes }: Node, inputs: readonly Tensor[]): readonly Tensor[] | null {
  const kernel = EXACT_KERNELS[op];
  const [{ graph } = { graph: null }] = inputs;
  if (kernel === undefined || graph === null || "refused" in kernel) return null;
  if ("safe" in kernel) return graph.applyAll(op, inputs, attributes);
  const results = kernel.written({ inputs, attributes });
  return results === null ? null : [results].flat();
}

/** In words for a person: `3 × Asin (…), 1 × Pow (…)`. */
export function notExact(refused: readonly Node[]): Failure {
  return new Failure(
    "not-exact",
    `This model trains in the arithmetic class fast, not exact: ${refusedText(refused)} cannot be computed to the same bits on every computer. ` +
      "Choose the class fast for it, or another operator in the model.",
  );
}

export function refusedText(refused: readonly Node[]): string {
  return [...Map.groupBy(refused, ({ op }) => op)].map(([op, nodes]) => `${nodes.length} × ${op}`).join(", ");
}
