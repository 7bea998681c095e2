import { Failure } from "../../src-protocol/failure.ts";
import type { FloatType } from "../element-type.ts";
import type { GraphBuilder } from "../graph-builder.ts";
import type { Tensor } from "../tensor.ts";
import type { ReadExternal } from "./external-data.ts";
import { decodeModel, type ModelFile, neededNodes } from "./model-bytes.ts";
import { printable } from "../printable.ts";
import type { StoredRow, StoredTensor } from "./parameters.ts";
import { refuseUnknownOperators } from "./supported.ts";
import { Walk } from "./walk.ts";

export { type FreeDimension, freeDimensions } from "./free-dimensions.ts";
export type { StoredRow, StoredTensor } from "./parameters.ts";
export type { ReadExternal } from "./external-data.ts";

export interface ImportOptions {
  /**
   * Sizes of free dimensions: by the name that the file gives them (`batch`), or, without a name, by
   * input and axis (`input[0]`).
   */
  sizes?: Readonly<Record<string, number>>;
  /**
   * Inputs that become constants, such as an attention mask: their numbers, one for all, or
   * `positions`: 0, 1, 2, … along the last axis.
   */
  fixed?: Readonly<Record<string, number | readonly number[] | "positions">>;
  /** Names of the outputs to keep; all of them if not given. */
  outputs?: readonly string[];
  /** Names, with `*` and `?`, of stored tensors that do not train whatever they are. */
  freeze?: readonly string[];
  /** Of those that do; stronger than `freeze`. */
  train?: readonly string[];
  readExternal?: ReadExternal;
  /** float64 is for checking gradients. */
  float?: FloatType;
}

export interface NamedTensor {
  name: string;
  tensor: Tensor;
}

/** A model of a file as a forward graph with fixed shapes, ready for `differentiate` and `cutGraph`. */
export interface ImportedModel {
  graph: GraphBuilder;
  /** Data: what a micro-batch feeds. */
  inputs: readonly NamedTensor[];
  outputs: readonly NamedTensor[];
  /** Trained; inputs of the graph of the same name. */
  parameters: readonly StoredTensor[];
  /** Inputs of the graph that are stored in the file and not trained. */
  tables: readonly StoredTensor[];
  /** Every stored tensor of floats that is used: whether it trains, and why. */
  stored: readonly StoredRow[];
  /** What is counted: the file's nodes that the outputs depend on, by operator. */
  operators: Readonly<Record<string, number>>;
  opset: number;
  producer: string;
  notes: readonly string[];
}

/**
 * Reads an ONNX model: fixes its shapes, computes what depends on neither data nor parameters, turns
 * parameters into inputs, and writes the rest in the operators of the table.
 *
 * Whatever is wrong with the file is a Failure: `bad-model-file`, `model-too-large`, `bad-shape`,
 * `bad-node`, `free-dimension`, `unknown-output`, `unsupported-operator`, `unsupported-type`,
 * `unsupported-opset`, `external-data`, `external-data-path`; `import-failed` is a fault of the engine.
 */
export function importModel(bytes: Uint8Array, options: ImportOptions = {}): ImportedModel {
  try {
    const file = decodeModel(bytes);
    const outputs = outputNames(file, options.outputs);
    const nodes = neededNodes(file.graph, outputs);
    refuseUnknownOperators(nodes);
    const walk = new Walk(file, nodes, options);
    for (const node of nodes) walk.take(node);
    return walk.result(outputs);
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure(
      "import-failed",
      "The model could not be read, because of a fault in this program. Please report it, with the model if you may share it.",
      { cause },
    );
  }
}

function outputNames({ graph }: ModelFile, wanted: readonly string[] | undefined): readonly string[] {
  const names = graph.output.map(({ name }) => name);
  const unknown = wanted?.find((name) => !names.includes(name));
  if (names.length === 0 || unknown !== undefined) {
    throw new Failure(
      "unknown-output",
      `The model has ${names.length === 0 ? "no outputs" : `the outputs ${printable(names.join(", "))}`}` +
        `${unknown === undefined ? "" : `, but not "${unknown}"`}: there is nothing to train it by.`,
    );
  }
  return [...new Set(wanted ?? names)];
}
