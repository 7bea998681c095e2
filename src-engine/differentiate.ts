import { Failure } from "../src-protocol/failure.ts";
import type { GraphBuilder, Node } from "./graph-builder.ts";
import type { Pull } from "./operator.ts";
import { nodesByOperator } from "./refusal-text.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Reverse-mode differentiation: appends to `graph` the nodes that compute the gradient of
 * `Σ seed ⊙ output`, summed over `seeds` (output → seed of the same shape), with respect to each
 * of `targets`, and returns the gradients in that order. A target with a seed of its own begins
 * with that: what was summed before.
 *
 * A loss has the seed 1; an intermediate result has the gradient that arrived for it. A target
 * that no seed depends on has the gradient 0.
 *
 * @throws Failure `not-differentiable` that names every operator on the way without a rule, with its nodes
 */
export function differentiate(
  graph: GraphBuilder,
  seeds: ReadonlyMap<Tensor, Tensor>,
  targets: readonly Tensor[],
): Tensor[] {
  const needed = new Set(targets);
  const path = graph.tape.filter((node) => {
    if (!node.inputs.some((input) => needed.has(input))) return false;
    for (const output of node.outputs) needed.add(output);
    return true;
  });
  return graph.unrecorded(() => {
    const gradients = new Map(seeds);
    const refused: Node[] = [];
    for (const node of path.reverse()) {
      if (!node.outputs.some((output) => gradients.has(output))) continue;
      const done = graph.within(`${node.name}/gradient`, () => propagate(graph, node, gradients, needed));
      if (!done) refused.push(node);
    }
    if (refused.length > 0) throw refusal(refused);
    return targets.map((target) => gradients.get(target) ?? graph.full([], 0).expand(target.shape));
  });
}

/** Adds what `node` contributes to the gradients of its inputs; false: there is no rule. */
function propagate(
  graph: GraphBuilder,
  node: Node,
  gradients: Map<Tensor, Tensor>,
  needed: ReadonlySet<Tensor>,
): boolean {
  const pulls = pullsOf(graph, node, gradients);
  for (const [i, input] of node.inputs.entries()) {
    // Without a rule the walk goes on with some gradient, to find every node that is in the way.
    const pull = pulls ? pulls[i] : (): Tensor => graph.full([], 0).expand(input.shape);
    if (!pull || !needed.has(input)) continue;
    const sum = gradients.get(input);
    if (typeof pull === "function") {
      const gradient = pull().sumTo(input.shape);
      gradients.set(input, sum ? sum.add(gradient) : gradient);
    } else {
      gradients.set(input, pull.onto(sum));
    }
  }
  return pulls !== null;
}

function pullsOf(
  { operators }: GraphBuilder,
  { op, inputs, outputs, attributes }: Node,
  gradients: Map<Tensor, Tensor>,
): readonly Pull[] | null {
  const gradient = operators[op]?.gradient;
  const all = outputs.map((output) => gradients.get(output));
  const [y] = outputs;
  const dy = all.find((each) => each !== undefined);
  if (!gradient || !y || !dy) return null;
  // The builder has checked that the inputs fit the row's own, exact type.
  const call = { inputs, attributes, y, dy, outputs, gradients: all } as unknown as Parameters<
    typeof gradient
  >[0];
  return gradient(call);
}

function refusal(nodes: readonly Node[]): Failure {
  const byOperator = Map.groupBy(nodes.toReversed(), ({ op }) => op);
  const names = new Map([...byOperator].map(([op, its]) => [op, its.map(({ name }) => name)]));
  return new Failure(
    "not-differentiable",
    `The engine has no gradient rule for the operator ${nodesByOperator(names)}, and trainable parameters feed it. ` +
      `Add a rule to its row in src-engine/operators, or freeze the parameters before it.`,
  );
}
