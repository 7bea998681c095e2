import { Failure } from "../src-protocol/failure.ts";
import { ConstantTable } from "./constant-table.ts";
import type { ElementType, FloatType } from "./element-type.ts";
import type { Arity, AttributeValue, Operator, OperatorTable } from "./operator.ts";
import { type Shape, sizeOf } from "./shape.ts";
import { Tensor, type TensorGraph } from "./tensor.ts";

/** One use of an operator. */
export interface Node {
  /** Unique in the graph, e.g. `blocks.0/MatMul_12`; messages name it. */
  name: string;
  op: string;
  inputs: readonly Tensor[];
  outputs: readonly Tensor[];
  attributes: Readonly<Record<string, AttributeValue>>;
}

/** Numbers that `full` writes into the file: 256 KB in float32. */
const LARGEST_STORED = 65_536;

type Attributes = Readonly<Record<string, AttributeValue>>;

/**
 * A graph under construction, with static shapes.
 *
 * Equal nodes and equal constants are made once: the graph is a set of formulas, so a gradient rule
 * may write down again what the forward computed and gets the forward's own tensor.
 */
export class GraphBuilder implements TensorGraph {
  readonly operators: OperatorTable;
  /** The type of parameters and activations. */
  readonly float: FloatType;
  readonly inputs = new Map<Tensor, string>();
  readonly constants: Tensor[] = [];
  /** Primitives in the order in which they can be computed. */
  readonly nodes: Node[] = [];
  /** What was applied, as `differentiate` sees it: composites whole, gradients not at all. */
  readonly tape: Node[] = [];

  readonly #made = new Map<string, Node>();
  readonly #constantsMade = new ConstantTable();
  readonly #onTape = new Set<Tensor>();
  #recording = true;
  #scope = "";
  #tensors = 0;

  constructor(operators: OperatorTable, float: FloatType = "float32") {
    this.operators = operators;
    this.float = float;
  }

  input(name: string, shape: Shape, type: ElementType = this.float): Tensor {
    const tensor = this.#tensor(type, shape);
    this.inputs.set(tensor, name);
    return tensor;
  }

  constant(type: ElementType, shape: Shape, values: readonly number[]): Tensor {
    if (values.length !== sizeOf(shape)) {
      throw new Failure(
        "bad-shape",
        `A constant of shape [${shape}] needs ${sizeOf(shape)} values, not ${values.length}.`,
      );
    }
    return this.#constantsMade.get(type, shape, values, () => {
      const tensor = this.#tensor(type, shape, values);
      this.constants.push(tensor);
      return tensor;
    });
  }

  /** A constant of one number everywhere; a large one is spread when the graph runs, not stored. */
  full(shape: Shape, value: number): Tensor {
    const size = sizeOf(shape);
    if (size > LARGEST_STORED) return this.constant(this.float, [], [value]).expand(shape);
    return this.constant(
      this.float,
      shape,
      Array.from({ length: size }, () => value),
    );
  }

  /** A constant int64 list: axes, sizes or a shape. */
  indices(values: readonly number[]): Tensor {
    return this.constant("int64", [values.length], values);
  }

  /** Applies an operator of one output. */
  apply(op: string, inputs: readonly Tensor[], attributes?: Attributes): Tensor {
    return this.applyAll(op, inputs, attributes)[0] as Tensor;
  }

  /**
   * Applies an operator of the table. Attributes that are not given have the table's defaults.
   *
   * @throws Failure `bad-node` for an operator that the table lacks, a wrong number of inputs or an unknown attribute
   * @throws Failure `bad-shape` when the inputs do not fit together
   */
  applyAll(op: string, inputs: readonly Tensor[], attributes: Attributes = {}): readonly Tensor[] {
    const { expand, gradient } = this.#row(op);
    // A composite without a rule is only a way of writing: its parts go on the tape.
    if (expand && !gradient) return this.#make(op, inputs, attributes).outputs;
    const key = `${op}(${inputs.map(({ id }) => id)})${JSON.stringify(attributes)}`;
    let node = this.#made.get(key);
    if (!node) {
      node = this.#make(op, inputs, attributes);
      this.#made.set(key, node);
    }
    this.#record(node);
    return node.outputs;
  }

  /** Names of nodes made in `body` begin with `scope`. */
  within<T>(scope: string, body: () => T): T {
    const outer = this.#scope;
    this.#scope = `${outer}${scope}/`;
    try {
      return body();
    } finally {
      this.#scope = outer;
    }
  }

  /** What is made in `body` will not be differentiated. */
  unrecorded<T>(body: () => T): T {
    const outer = this.#recording;
    this.#recording = false;
    try {
      return body();
    } finally {
      this.#recording = outer;
    }
  }

  #make(op: string, inputs: readonly Tensor[], given: Attributes): Node {
    const row = this.#row(op);
    const ownName = `${op}_${this.#made.size}`;
    const name = this.#scope + ownName;
    checkArity(name, row.inputs, inputs.length);
    const attributes = withDefaults(name, row, given);
    const call = { inputs, attributes } as Parameters<NonNullable<Operator["infer"]>>[0];
    if (row.expand) {
      const expand = row.expand;
      const written = (): Tensor | readonly Tensor[] => this.within(ownName, () => expand(call));
      const result = row.gradient ? this.unrecorded(written) : written();
      // A result that is an input itself would be a node from a tensor to itself.
      const outputs = [result]
        .flat()
        .map((output) => (inputs.includes(output) ? this.apply("Identity", [output]) : output));
      return { name, op, inputs, outputs, attributes };
    }
    const types = row.infer?.(call) ?? [];
    const node = {
      name,
      op,
      inputs,
      outputs: types.map(({ type, shape }) => this.#tensor(type, shape)),
      attributes,
    };
    this.nodes.push(node);
    return node;
  }

  #row(op: string): Operator {
    const row = Object.hasOwn(this.operators, op) ? this.operators[op] : undefined;
    if (row) return row;
    throw new Failure("bad-node", `The engine has no operator "${op}" in its table.`);
  }

  #record(node: Node): void {
    // A composite's result is also the output of its last primitive: it counts once.
    if (!this.#recording || node.outputs.some((output) => this.#onTape.has(output))) return;
    for (const output of node.outputs) this.#onTape.add(output);
    this.tape.push(node);
  }

  #tensor(type: ElementType, shape: Shape, value: readonly number[] | null = null): Tensor {
    return new Tensor(this, this.#tensors++, type, shape, value);
  }
}

function checkArity(name: string, arity: Arity, count: number): void {
  const [least = 1, most = least] = arity === "many" ? [1, Infinity] : String(arity).split("-").map(Number);
  if (count < least || count > most)
    throw new Failure("bad-node", `Node ${name} has ${count} inputs, where its operator takes ${arity}.`);
}

function withDefaults(name: string, row: Operator, given: Attributes): Attributes {
  for (const key of Object.keys(given)) {
    if (!(key in row.attributes)) {
      throw new Failure(
        "bad-node",
        `Node ${name} has the attribute "${key}", which this engine does not know.`,
      );
    }
  }
  const defaults = Object.entries(row.attributes).map(
    ([key, attribute]) => [key, attribute.default] as const,
  );
  return { ...Object.fromEntries(defaults), ...given };
}
