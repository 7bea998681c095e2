import { Failure } from "../../src-protocol/failure.ts";
import type { ImportedModel } from "./import-model.ts";

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
  const rows = output.tensor.rows();
  const targets = graph.input("targets", [rows.dim(0)], "int32");
  const loss = graph.apply("SoftmaxCrossEntropyLoss", [rows, targets]);
  return {
    ...model,
    inputs: [...inputs, { name: "targets", tensor: targets }],
    outputs: [{ name: "loss", tensor: loss }],
  };
}
