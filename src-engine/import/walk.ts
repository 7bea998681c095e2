import { Failure } from "../../src-protocol/failure.ts";
import { GraphBuilder } from "../graph-builder.ts";
import { OPERATORS } from "../operators.ts";
import type { NodeProto } from "../onnx_pb.js";
import { sizeOf } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { type Branches, branchesOf, readsOf } from "./branches.ts";
import { FOLDS } from "./fold.ts";
import { readInput } from "./graph-input.ts";
import type { ImportedModel, ImportOptions, NamedTensor } from "./import-model.ts";
import { nodeNotes } from "./import-notes.ts";
import { type Known, known } from "./known.ts";
import { MOST_LOOP_NODES, writtenOut } from "./loops.ts";
import { ConstantBudget } from "./limits.ts";
import { lowering } from "./lowering.ts";
import { type ModelFile, nodePlace } from "./model-bytes.ts";
import { printable } from "../printable.ts";
import { missing, mustHaveElements, named, shapeOf } from "./node-check.ts";
import { NodeAttributes } from "./node-attributes.ts";
import { checkTypes } from "./operand-types.ts";
import { StoredTensors } from "./parameters.ts";
import { type Apply, isSequenceOperator, Sequence, sequenceResult, type Value } from "./sequence.ts";
import { refuseUnknownOperators } from "./supported.ts";

/** The one walk over a file's nodes: each becomes numbers, or nodes of the graph. */
export class Walk {
  readonly #file: ModelFile;
  readonly #nodes: readonly NodeProto[];
  readonly #branches: Branches;
  readonly #graph: GraphBuilder;
  readonly #budget = new ConstantBudget();
  readonly #stored: StoredTensors;
  readonly #inputs: NamedTensor[] = [];
  readonly #values = new Map<string, Value>();
  readonly #lifted = new Map<Known, Tensor>();
  /** Loops around the node that is taken; nodes that loops have become. */
  #loops = 0;
  #loopNodes = 0;

  constructor(file: ModelFile, nodes: readonly NodeProto[], options: ImportOptions) {
    this.#file = file;
    this.#nodes = nodes;
    this.#branches = branchesOf(nodes);
    this.#graph = new GraphBuilder(OPERATORS, options.float);
    const tensors = [...file.graph.initializer, ...this.#branches.tensors];
    this.#stored = new StoredTensors(this.#graph, file.graph, tensors, [...nodes, ...this.#branches.nodes], {
      budget: this.#budget,
      freeze: options.freeze ?? [],
      train: options.train ?? [],
      readExternal: options.readExternal,
    });
    const read = new Set(nodes.flatMap((node) => readsOf(node)));
    for (const info of file.graph.input) {
      // Old files list stored tensors among the inputs.
      if (!read.has(info.name) || this.#stored.has(info.name)) continue;
      const value = readInput(info, options, this.#graph, this.#budget);
      if (value instanceof Tensor) this.#inputs.push({ name: info.name, tensor: value });
      this.#values.set(info.name, value);
    }
  }

  take(node: NodeProto): void {
    const name = nodePlace(node);
    const results = this.#graph.within(name, () => named(node, () => this.#results(node, name)));
    for (const [i, output] of node.output.entries()) {
      const result = results[i];
      if (output === "" || !result) continue;
      if (result instanceof Tensor) mustHaveElements(name, result);
      // Each turn of a loop computes its values anew.
      if ((this.#values.has(output) && this.#loops === 0) || this.#stored.has(output))
        throw new Failure(
          "bad-model-file",
          `Two nodes of the model compute "${printable(output)}". Export it again.`,
        );
      this.#values.set(output, result);
    }
  }

  result(outputNames: readonly string[]): ImportedModel {
    const operators: Record<string, number> = {};
    for (const { opType } of this.#nodes) operators[opType] = (operators[opType] ?? 0) + 1;
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
    this.#stored.checkPatterns();
    return {
      graph: this.#graph,
      inputs: this.#inputs,
      outputs,
      parameters: this.#stored.parameters,
      tables: this.#stored.tables,
      operators,
      opset: this.#file.opset,
      producer: `${this.#file.model.producerName} ${this.#file.model.producerVersion}`.trim(),
      stored: [...this.#stored.rows.values()],
      notes: [...this.#stored.notes(), ...nodeNotes([...this.#nodes, ...this.#branches.nodes])],
    };
  }

  #results(node: NodeProto, name: string): readonly Value[] {
    const { opType: op } = node;
    if (op === "If") return this.#branch(node, name);
    const attributes = new NodeAttributes(name, node.attribute);
    const apply: Apply = (other, given, inputs, outputs) =>
      this.#apply({ op: other, name, attributes: given, outputs }, inputs);
    if (op === "Loop" || op === "Scan") return this.#loop(node, { name, attributes, apply });
    if (isSequenceOperator(op)) {
      const inputs = node.input.map((input) => this.#value(input, node));
      return [sequenceResult({ name, op, attributes, inputs, apply })];
    }
    return this.#compute(node, name, attributes);
  }

  #loop(node: NodeProto, call: { name: string; attributes: NodeAttributes; apply: Apply }): readonly Value[] {
    const body = this.#branches.bodies.get(node);
    if (body === undefined) throw new Failure("bad-node", `The loop ${call.name} has no body.`);
    refuseUnknownOperators(body.nodes);
    const turn = (given: readonly Value[]): readonly Value[] => {
      for (const [i, input] of body.inputs.entries()) this.#values.set(input, given[i] as Value);
      this.#loopNodes += body.nodes.length;
      if (this.#loopNodes > MOST_LOOP_NODES)
        throw new Failure(
          "model-too-large",
          `The model's loops become more than ${MOST_LOOP_NODES} nodes when they are written out. Train with shorter sequences, or export it without its loops.`,
        );
      for (const inner of body.nodes) this.take(inner);
      return body.outputs.map((output) => this.#value(output, node) ?? missing(node.opType, 0));
    };
    this.#loops += 1;
    try {
      const { opType: op } = node;
      const inputs = node.input.map((input) => this.#value(input, node));
      return writtenOut({
        ...call,
        op,
        opset: this.#file.opset,
        inputs,
        body,
        outputs: node.output.length,
        turn,
      });
    } finally {
      this.#loops -= 1;
    }
  }

  /** The branch that is taken stands in the If's place; the other one is never looked at. */
  #branch(node: NodeProto, name: string): readonly Value[] {
    const branches = this.#branches.of.get(node);
    const condition = this.#value(node.input[0] ?? "", node);
    if (
      !branches ||
      !condition ||
      condition instanceof Tensor ||
      condition instanceof Sequence ||
      condition.values.length !== 1
    ) {
      throw new Failure(
        "unsupported-operator",
        `Node ${name} (If) chooses what to compute by the model's data. The engine trains one fixed graph: ` +
          "give the choice a fixed value, or export the model without it.",
      );
    }
    const { nodes, outputs } = condition.values[0] === 0 ? branches.no : branches.yes;
    refuseUnknownOperators(nodes);
    for (const inner of nodes) this.take(inner);
    return outputs.map((output) => this.#value(output, node) ?? missing("If", 0));
  }

  #compute(node: NodeProto, name: string, attributes: NodeAttributes): readonly Value[] {
    const { opType: op } = node;
    if (op === "Shape" || op === "Size") {
      const source = node.input[0] ?? "";
      const shape = this.#stored.shapeOf(source) ?? this.#single(source, node)?.shape ?? missing(op, 0);
      return [op === "Size" ? known("int64", [], [sizeOf(shape)]) : shapeOf(shape, attributes)];
    }
    const value = this.#value(node.input[0] ?? "", node);
    if (op === "Identity" && value instanceof Sequence) return [value];
    const inputs = node.input.map((input) => this.#single(input, node));
    return this.#apply({ op, name, attributes, outputs: node.output.length }, inputs);
  }

  #apply(
    {
      op,
      name,
      attributes,
      outputs,
    }: { op: string; name: string; attributes: NodeAttributes; outputs: number },
    inputs: readonly (Tensor | Known | undefined)[],
  ): readonly (Tensor | Known)[] {
    const { opset } = this.#file;
    const fold = Object.hasOwn(FOLDS, op) ? FOLDS[op] : undefined;
    if (fold && !inputs.some((input) => input instanceof Tensor)) {
      const values = inputs as readonly (Known | undefined)[];
      return fold({
        inputs: values,
        attributes,
        opset,
        outputs,
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
      outputs,
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

  #single(name: string, node: NodeProto): Tensor | Known | undefined {
    const value = this.#value(name, node);
    if (!(value instanceof Sequence)) return value;
    throw new Failure(
      "unsupported-operator",
      `Node ${nodePlace(node)} (${printable(node.opType)}) reads a list of tensors, which it does not know. Join or choose what it reads before exporting.`,
    );
  }

  #value(name: string, node: NodeProto): Value | undefined {
    if (name === "") return undefined;
    const value = this.#values.get(name);
    if (value) return value;
    if (this.#stored.has(name)) return this.#stored.for(name, node);
    throw new Failure(
      "bad-model-file",
      `Node ${nodePlace(node)} reads "${printable(name)}", which nothing before it computes. The file is damaged: export it again.`,
    );
  }

  #tensor(value: Tensor | Known): Tensor {
    if (value instanceof Tensor) return value;
    const made = this.#lifted.get(value) ?? this.#graph.constant(value.type, value.shape, value.values);
    this.#lifted.set(value, made);
    return made;
  }
}
