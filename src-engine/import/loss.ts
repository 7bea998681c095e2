import { Failure } from "../../src-protocol/failure.ts";
import type { GraphBuilder, Node } from "../graph-builder.ts";
import { axisOf, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { ImportedModel } from "./import-model.ts";
import { printable } from "../printable.ts";

/**
 * The model with one output, `loss`: the mean cross-entropy of the output `scores` [..., classes], or of
 * its only one, against a new input `targets` int32 [n], where n is the number of rows of scores.
 *
 * @throws Failure `unknown-output`
 */
export function withCrossEntropy(model: ImportedModel, scores?: string): ImportedModel {
  const { graph, outputs, inputs } = model;
  const named = scores === undefined ? outputs : outputs.filter(({ name }) => name === scores);
  const [output] = named;
  if (!output || named.length > 1 || output.tensor.rank < 2 || output.tensor.type !== graph.float) {
    throw new Failure(
      "unknown-output",
      `The loss needs one output of scores. The model has ${outputs.map(({ name, tensor }) => `${name} [${tensor.shape}]`).join(", ")}: name the right one.`,
    );
  }
  const rows = (beforeSoftmax(graph, output.tensor) ?? output.tensor).rows();
  const targets = graph.input("targets", [rows.dim(0)], "int32");
  const loss = graph.apply("SoftmaxCrossEntropyLoss", [rows, targets]);
  return {
    ...model,
    inputs: [...inputs, { name: "targets", tensor: targets }],
    outputs: [{ name: "loss", tensor: loss }],
    notes: [...model.notes, ...softmaxNotes(graph, output)],
  };
}

/** That the loss takes the scores before a last Softmax; empty: there is none. */
export function softmaxNotes(
  graph: GraphBuilder,
  { name, tensor }: ImportedModel["outputs"][number],
): string[] {
  if (softmaxOf(graph, tensor) === null) return [];
  return [
    `The output "${printable(name)}" ends in a Softmax. The loss takes the scores before it; in the written file it stays.`,
  ];
}

/**
 * The scores that a last Softmax made probabilities of, in the form of `scores`; null: there is none.
 * The loss takes the softmax itself: that of probabilities has a floor far above 0, and learns slowly.
 */
export function beforeSoftmax(graph: GraphBuilder, scores: Tensor): Tensor | null {
  const found = softmaxOf(graph, scores);
  if (found === null) return null;
  let { tensor } = found;
  for (const { op, attributes, outputs } of found.forms) {
    if (op === "Reshape") tensor = tensor.reshape(outputs[0]?.shape ?? []);
    if (op === "Transpose") tensor = tensor.transpose(...(attributes["perm"] as readonly number[]));
  }
  return tensor;
}

const DEPTH = 8;

/**
 * What a last Softmax over the last axis of `scores` takes, and the nodes after it, in their order, which
 * change the form of its result and no number.
 */
function softmaxOf(graph: GraphBuilder, scores: Tensor): { tensor: Tensor; forms: readonly Node[] } | null {
  const forms: Node[] = [];
  let [tensor, axis] = [scores, scores.rank - 1];
  for (let depth = 0; depth < DEPTH && axis >= 0; depth++) {
    const node = graph.nodes.find(({ outputs }) => outputs.includes(tensor));
    const [input] = node?.inputs ?? [];
    if (node === undefined || input === undefined) return null;
    if (node.op === "Softmax")
      return axisOf(Number(node.attributes["axis"] ?? -1), input.rank) === axis
        ? { tensor: input, forms }
        : null;
    const before = axisBefore(node, input, axis);
    if (before === null) return null;
    forms.unshift(node);
    [tensor, axis] = [input, before];
  }
  return null;
}

/** The axis of `input` that is `axis` of what the node makes of it; null: it is more than another form. */
function axisBefore({ op, attributes, outputs }: Node, input: Tensor, axis: number): number | null {
  if (op === "Identity" || op === "Cast") return axis;
  if (op === "Transpose") return (attributes["perm"] as readonly number[])[axis] ?? null;
  if (op !== "Reshape") return null;
  // The axis is another one's where as many numbers lie in it, and as many behind it.
  const shape = outputs[0]?.shape ?? [];
  const behind = sizeOf(shape.slice(axis + 1));
  const found = input.shape.findLastIndex(
    (size, at) => size === shape[axis] && sizeOf(input.shape.slice(at + 1)) === behind,
  );
  return found < 0 ? null : found;
}
