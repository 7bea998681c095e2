import type { Node } from "./graph-builder.ts";
import type { Tensor } from "./tensor.ts";

/** A place between two nodes where all that is still needed of the data's way is one tensor. */
export interface CutPoint {
  tensor: Tensor;
  /** The node that computes it. */
  node: string;
}

/**
 * The places where a graph can be cut, in order. `nodes` are in the order in which they are computed.
 *
 * What counts is the data's way through the parameters: tensors that depend on both. What depends on
 * data alone (a mask, positions) or on parameters alone (a transposed weight) is cheap, or small,
 * and is computed again by every stage that needs it. A place is a cut point where exactly one such
 * tensor is live: computed already, and still to be read or an output. In a transformer these are
 * the residual stream between attention and feed-forward, and between blocks.
 */
export function cutPoints(
  nodes: readonly Node[],
  data: Iterable<Tensor>,
  parameters: Iterable<Tensor>,
  outputs: readonly Tensor[],
): CutPoint[] {
  const ofData = new Set(data);
  const ofParameters = new Set(parameters);
  const lastRead = new Map<Tensor, number>();
  for (const [i, { inputs, outputs: results }] of nodes.entries()) {
    for (const input of inputs) lastRead.set(input, i);
    if (inputs.some((input) => ofData.has(input))) for (const result of results) ofData.add(result);
    if (inputs.some((input) => ofParameters.has(input)))
      for (const result of results) ofParameters.add(result);
  }
  for (const output of outputs) lastRead.set(output, nodes.length);

  const points: CutPoint[] = [];
  const live = new Set<Tensor>();
  for (const [i, node] of nodes.entries()) {
    for (const input of node.inputs) if (lastRead.get(input) === i) live.delete(input);
    for (const result of node.outputs) {
      const isOnTheWay = ofData.has(result) && ofParameters.has(result);
      if (isOnTheWay && (lastRead.get(result) ?? -1) > i) live.add(result);
    }
    const [tensor] = live;
    const isNew = points.at(-1)?.tensor !== tensor;
    const isFloat = tensor?.type === "float32" || tensor?.type === "float64";
    if (live.size === 1 && tensor && isNew && isFloat && !outputs.includes(tensor))
      points.push({ tensor, node: node.name });
  }
  return points;
}
