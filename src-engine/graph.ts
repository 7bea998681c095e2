import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import { exactGraph, notExact } from "./exact/exact-graph.ts";
import { encodeModel } from "./model-file.ts";
import type { Tensor } from "./tensor.ts";

/** An ONNX model and the names of what goes in and comes out. */
export interface Graph {
  bytes: Uint8Array;
  /** What a session must keep to, so that it gives what the class promises. */
  arithmetic: Arithmetic;
  inputs: readonly string[];
  outputs: readonly string[];
}

/**
 * The part of a graph that computes `outputs` from `inputs` (tensor → name), as a file.
 *
 * @throws Failure `bad-model-file` when two of them have one name
 * @throws Failure `not-exact` when it shall be exact and has operators that cannot be
 */
export function closeGraph(
  graph: GraphBuilder,
  outputs: Readonly<Record<string, Tensor>>,
  inputs: ReadonlyMap<Tensor, string> = graph.inputs,
  arithmetic: Arithmetic = "fast",
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
    bytes: written(graph, outputs, inputs, arithmetic),
    arithmetic,
    inputs: [...inputs.values()],
    outputs: Object.keys(outputs),
  };
}

function written(
  graph: GraphBuilder,
  outputs: Readonly<Record<string, Tensor>>,
  inputs: ReadonlyMap<Tensor, string>,
  arithmetic: Arithmetic,
): Uint8Array {
  if (arithmetic === "fast") return encodeModel(graph, outputs, inputs);
  const exact = exactGraph(graph, outputs, inputs);
  if (exact.refused.length > 0) throw notExact(exact.refused);
  return encodeModel(exact.graph, exact.outputs, exact.inputs);
}
