import { Failure } from "../src-protocol/failure.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import { encodeModel } from "./model-file.ts";
import type { Tensor } from "./tensor.ts";

/** An ONNX model and the names of what goes in and comes out. */
export interface Graph {
  bytes: Uint8Array;
  inputs: readonly string[];
  outputs: readonly string[];
}

/**
 * The part of a graph that computes `outputs` from `inputs` (tensor → name), as a file.
 *
 * @throws Failure `bad-model-file` when two of them have one name
 */
export function closeGraph(
  graph: GraphBuilder,
  outputs: Readonly<Record<string, Tensor>>,
  inputs: ReadonlyMap<Tensor, string> = graph.inputs,
): Graph {
  const names = [...inputs.values(), ...Object.keys(outputs)];
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new Failure(
      "bad-model-file",
      `Two of the model's inputs, parameters and gradients would be called "${twice}" in a stage. ` +
        "Rename the one that the model itself calls so, and export it again.",
    );
  }
  return {
    bytes: encodeModel(graph, outputs, inputs),
    inputs: [...inputs.values()],
    outputs: Object.keys(outputs),
  };
}
