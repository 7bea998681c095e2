import { Failure } from "../../src-protocol/failure.ts";
import type { GraphBuilder } from "../graph-builder.ts";
import { axisOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { ImportedModel } from "./import-model.ts";
import { printable } from "./model-bytes.ts";

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
  const before = beforeSoftmax(graph, output.tensor);
  const rows = (before ?? output.tensor).rows();
  const targets = graph.input("targets", [rows.dim(0)], "int32");
  const loss = graph.apply("SoftmaxCrossEntropyLoss", [rows, targets]);
  return {
    ...model,
    inputs: [...inputs, { name: "targets", tensor: targets }],
    outputs: [{ name: "loss", tensor: loss }],
    notes: before === null ? model.notes : [...model.notes, softmaxNote(output.name)],
  };
}

/** What changes the form of scores and not their order along the last axis. */
const FORMS: ReadonlySet<string> = new Set(["Identity", "Cast", "Reshape"]);
const DEPTH = 8;

/**
 * The scores that a last Softmax made probabilities of, in the shape of `scores`; null: there is none.
 * The loss takes the softmax itself: that of probabilities has a floor far above 0, and learns slowly.
 */
export function beforeSoftmax(graph: GraphBuilder, scores: Tensor): Tensor | null {
  let tensor = scores;
  for (let depth = 0; depth < DEPTH; depth++) {
    const node = graph.nodes.find(({ outputs }) => outputs.includes(tensor));
    const [input] = node?.inputs ?? [];
    if (node === undefined || input === undefined) return null;
    const width = tensor.dim(-1);
    if (node.op === "Softmax")
      return axisOf(Number(node.attributes["axis"] ?? -1), input.rank) === input.rank - 1
        ? input.reshape(scores.shape)
        : null;
    if (!FORMS.has(node.op) || input.rank === 0 || input.dim(-1) !== width) return null;
    tensor = input;
  }
  return null;
}

function softmaxNote(name: string): string {
  return `The output "${printable(name)}" ends in a Softmax. The loss takes the scores before it; in the written file it stays.`;
}
