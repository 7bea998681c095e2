import { Failure } from "../../src-protocol/failure.ts";
import type { FloatType } from "../element-type.ts";
import { GraphBuilder } from "../graph-builder.ts";
import type { NodeProto, TensorShapeProto_Dimension, ValueInfoProto } from "../onnx_pb.js";
import { sizeOf } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { elementTypeIn } from "./element-types.ts";
import type { ReadExternal } from "./external-data.ts";
import { FOLDS, missingInput } from "./fold.ts";
import { type Known, known, knownIndices } from "./known.ts";
import { ConstantBudget, checkedShape } from "./limits.ts";
import { lowering } from "./lowering.ts";
import { decodeModel, type ModelFile, neededNodes, nodeName, printable } from "./model-bytes.ts";
import { NodeAttributes } from "./node-attributes.ts";
import { checkTypes } from "./operand-types.ts";
import { type IsTrained, type StoredTensor, StoredTensors } from "./parameters.ts";

export type { StoredTensor } from "./parameters.ts";
export type { ReadExternal } from "./external-data.ts";

export interface ImportOptions {
  /**
   * Sizes of free dimensions: by the name that the file gives them (`batch`), or, without a name, by
   * input and axis (`input[0]`).
   */
  sizes?: Readonly<Record<string, number>>;
  /** Inputs that become constants, such as an attention mask: their numbers, or one for all. */
  fixed?: Readonly<Record<string, number | readonly number[]>>;
  /** Names of the outputs to keep; all of them if not given. */
  outputs?: readonly string[];
  isTrained?: IsTrained;
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
    return walk.result(outputs, nodes);
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure(
      "import-failed",
      "The model could not be read, because of a fault in this program. Please report it, with the model if you may share it.",
      { cause },
    );
  }
}

/** A dimension whose size the file leaves open. */
export interface FreeDimension {
  /** The name by which `ImportOptions.sizes` gives its size. */
  name: string;
  input: string;
  axis: number;
}

/** The dimensions that need a size before the model can be imported, each name once. */
export function freeDimensions(bytes: Uint8Array): FreeDimension[] {
  const { graph } = decodeModel(bytes);
  const stored = new Set(graph.initializer.map(({ name }) => name));
  const found = new Map<string, FreeDimension>();
  for (const { name: input, type } of graph.input) {
    if (stored.has(input) || type?.value.case !== "tensorType") continue;
    for (const [axis, dim] of (type.value.value.shape?.dim ?? []).entries()) {
      const name = freeName(input, dim, axis);
      if (name !== null && !found.has(name)) found.set(name, { name, input, axis });
    }
  }
  return [...found.values()];
}

/** null: the file says the size. */
function freeName(input: string, { value }: TensorShapeProto_Dimension, axis: number): string | null {
  if (value.case === "dimValue" && value.value > 0n) return null;
  return value.case === "dimParam" && value.value !== "" ? value.value : `${input}[${axis}]`;
}

type Value = Tensor | Known;

class Walk {
  readonly #file: ModelFile;
  readonly #graph: GraphBuilder;
  readonly #budget = new ConstantBudget();
  readonly #stored: StoredTensors;
  readonly #inputs: NamedTensor[] = [];
  readonly #values = new Map<string, Value>();
  readonly #lifted = new Map<Known, Tensor>();

  constructor(file: ModelFile, nodes: readonly NodeProto[], options: ImportOptions) {
    this.#file = file;
    this.#graph = new GraphBuilder(options.float);
    this.#stored = new StoredTensors(this.#graph, file.graph.initializer, nodes, {
      budget: this.#budget,
      isTrained: options.isTrained,
      readExternal: options.readExternal,
    });
    const read = new Set(nodes.flatMap(({ input }) => input));
    for (const info of file.graph.input) {
      // Old files list stored tensors among the inputs.
      if (read.has(info.name) && !this.#stored.has(info.name)) this.#input(info, options);
    }
  }

  take(node: NodeProto): void {
    const name = nodeName(node);
    const results = this.#graph.within(name, () => named(node, () => this.#compute(node, name)));
    for (const [i, output] of node.output.entries()) {
      const result = results[i];
      if (output === "" || !result) continue;
      if (result instanceof Tensor) mustHaveElements(name, result);
      if (this.#values.has(output) || this.#stored.has(output))
        throw new Failure(
          "bad-model-file",
          `Two nodes of the model compute "${printable(output)}". Export it again.`,
        );
      this.#values.set(output, result);
    }
  }

  result(outputNames: readonly string[], nodes: readonly NodeProto[]): ImportedModel {
    const operators: Record<string, number> = {};
    for (const { opType } of nodes) operators[opType] = (operators[opType] ?? 0) + 1;
    const outputs = outputNames.flatMap((name) => {
      const value = this.#values.get(name);
      return value instanceof Tensor ? [{ name, tensor: value }] : [];
    });
    if (outputs.length === 0) {
      throw new Failure(
        "unknown-output",
        `None of the model's outputs (${printable(outputNames.join(", "))}) depends on data or parameters: there is nothing to train.`,
      );
    }
    return {
      graph: this.#graph,
      inputs: this.#inputs,
      outputs,
      parameters: this.#stored.parameters,
      tables: this.#stored.tables,
      operators,
      opset: this.#file.opset,
      producer: `${this.#file.model.producerName} ${this.#file.model.producerVersion}`.trim(),
      notes: this.#stored.notes,
    };
  }

  #input(info: ValueInfoProto, { sizes = {}, fixed = {} }: ImportOptions): void {
    const { name } = info;
    if (info.type?.value.case !== "tensorType" || !info.type.value.value.shape) {
      throw new Failure(
        "unsupported-type",
        `The input "${printable(name)}" is not a tensor of known rank. Export the model with plain tensors as inputs.`,
      );
    }
    const { elemType, shape: dims } = info.type.value.value;
    const type = elementTypeIn(elemType, this.#graph.float);
    const shape = dims.dim.map((dim, axis) => {
      const key = freeName(name, dim, axis);
      if (key === null) return dim.value.case === "dimValue" ? dim.value.value : 0;
      const size = sizes[key];
      if (size !== undefined && Number.isSafeInteger(size) && size > 0) return size;
      throw new Failure(
        "free-dimension",
        `The input "${printable(name)}" has the free dimension "${printable(key)}". Say its size: shapes are fixed when a model is trained.`,
      );
    });
    const checked = checkedShape(`The input "${printable(name)}"`, shape);
    const given = fixed[name];
    if (given === undefined) {
      const tensor = this.#graph.input(name, checked, type);
      this.#inputs.push({ name, tensor });
      this.#values.set(name, tensor);
      return;
    }
    this.#budget.take(sizeOf(checked));
    const values = typeof given === "number" ? Array.from({ length: sizeOf(checked) }, () => given) : given;
    if (values.length !== sizeOf(checked))
      throw new Failure(
        "bad-shape",
        `The input "${printable(name)}" was given ${values.length} numbers, where its shape [${checked}] needs ${sizeOf(checked)}.`,
      );
    this.#values.set(name, known(type, checked, values));
  }

  #compute(node: NodeProto, name: string): readonly Value[] {
    const { opType: op } = node;
    const { opset } = this.#file;
    const inputs = node.input.map((input) => this.#value(input, node));
    const attributes = new NodeAttributes(name, node.attribute);
    const [first] = inputs;
    if (op === "Shape" && first) return [shapeOf(first, attributes)];
    if (op === "Size" && first) return [known("int64", [], [sizeOf(first.shape)])];

    const fold = Object.hasOwn(FOLDS, op) ? FOLDS[op] : undefined;
    if (fold && !inputs.some((input) => input instanceof Tensor)) {
      const values = inputs as (Known | undefined)[];
      return fold({
        inputs: values,
        attributes,
        opset,
        outputs: node.output.length,
        float: this.#graph.float,
        budget: this.#budget,
        at: (i) => values[i] ?? missing(op, i),
      });
    }
    const lower = lowering(op);
    if (!lower) {
      throw new Failure(
        "unsupported-operator",
        `Node ${name} (${op}) computes with the model's data. The engine has no rule for that: it knows ${op} only for shapes. ` +
          "Give its inputs fixed values, or leave this part out of the model.",
      );
    }
    checkTypes(
      op,
      name,
      inputs.filter((input) => input !== undefined),
    );
    const optional = (i: number): Tensor | undefined => {
      const value = inputs[i];
      return value && this.#tensor(value);
    };
    return lower({
      graph: this.#graph,
      op,
      name,
      attributes,
      opset,
      inputs: inputs.length,
      outputs: node.output.length,
      optional,
      tensor: (i) => optional(i) ?? missing(op, i),
      known: (i) => {
        const value = inputs[i];
        if (!(value instanceof Tensor)) return value;
        throw new Failure(
          "unsupported-operator",
          `Node ${name} (${op}) takes a shape, size or axis that the model computes from its data. Shapes are fixed when a model is trained.`,
        );
      },
    });
  }

  #value(name: string, node: NodeProto): Value | undefined {
    if (name === "") return undefined;
    const value = this.#values.get(name);
    if (value) return value;
    if (this.#stored.has(name)) return this.#stored.for(name, node);
    throw new Failure(
      "bad-model-file",
      `Node ${nodeName(node)} reads "${printable(name)}", which nothing before it computes. The file is damaged: export it again.`,
    );
  }

  #tensor(value: Value): Tensor {
    if (value instanceof Tensor) return value;
    const made = this.#lifted.get(value) ?? this.#graph.constant(value.type, value.shape, value.values);
    this.#lifted.set(value, made);
    return made;
  }
}

/** Says of which node a refusal is that does not know it. */
function named<T>(node: NodeProto, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Failure) || (error.code !== "bad-shape" && error.code !== "bad-node")) throw error;
    throw new Failure(
      error.code,
      `Node ${nodeName(node)} (${printable(node.opType)}) does not fit its inputs. ${error.message}`.slice(
        0,
        2000,
      ),
      { cause: error },
    );
  }
}

function missing(op: string, i: number): never {
  throw missingInput(op, i);
}

function shapeOf({ shape }: Value, attributes: NodeAttributes): Known {
  const start = attributes.number("start", 0);
  const end = attributes.number("end", shape.length);
  return knownIndices(shape.slice(start, end));
}

function mustHaveElements(node: string, { shape }: Tensor): void {
  const checked = checkedShape(`The result of node ${node}`, shape);
  if (checked.includes(0))
    throw new Failure(
      "bad-shape",
      `The result of node ${node} is empty: its shape is [${shape}]. The model does not fit the sizes that were given for it.`,
    );
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

/** How many nodes are named for each refused operator. */
const NAMED = 5;

/** All at once, so that a person sees everything that stands in the way. */
function refuseUnknownOperators(nodes: readonly NodeProto[]): void {
  const refused = new Map<string, string[]>();
  for (const node of nodes) {
    const { opType, domain } = node;
    const standard = domain === "" || domain === "ai.onnx";
    const isKnown =
      opType === "Shape" ||
      opType === "Size" ||
      Object.hasOwn(FOLDS, opType) ||
      lowering(opType) !== undefined;
    if (standard && isKnown) continue;
    const op = printable(standard ? opType : `${domain}.${opType}`);
    const names = refused.get(op) ?? [];
    names.push(nodeName(node));
    refused.set(op, names);
  }
  if (refused.size === 0) return;
  const list = [...refused].map(([op, names]) => {
    const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : "";
    return `${op} (${names.slice(0, NAMED).join(", ")}${more})`;
  });
  throw new Failure(
    "unsupported-operator",
    `The engine has no rule for ${list.join("; ")}. `.slice(0, 1500) +
      "Export the model with standard ONNX operators, or add a row for each to src-engine/operators.",
  );
}
