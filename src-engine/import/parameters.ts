import type { GraphBuilder } from "../graph-builder.ts";
import type { GraphProto, NodeProto, TensorProto } from "../onnx_pb.js";
import { type Shape, sizeOf } from "../shape.ts";
import type { ParameterInfo } from "../stage.ts";
import type { Tensor } from "../tensor.ts";
import { elementTypeIn, isFloat } from "./element-types.ts";
import type { ReadExternal } from "./external-data.ts";
import type { Copy } from "./forms.ts";
import { checkStored, readTensor, tensorFloats } from "./initializer.ts";
import type { Known } from "./known.ts";
import { type ConstantBudget, checkedShape } from "./limits.ts";
import { printable } from "../printable.ts";
import { StoredFile, type StoredFileOptions } from "./stored-file.ts";
import { storedNotes } from "./stored-notes.ts";
import type { Verdict } from "./trained.ts";

/** A stored tensor that became an input of the graph. */
export interface StoredTensor extends ParameterInfo {
  tensor: Tensor;
  /** Its numbers in the file, in float32. Read when they are needed: models are larger than memory. */
  read(): Float32Array;
}

/** What was decided about a stored tensor of floats. */
export interface StoredRow extends Verdict {
  readonly name: string;
  readonly shape: Shape;
  readonly size: number;
  /** It holds the numbers of another one, in this form. */
  readonly copy: Copy | null;
}

/** Larger tables become inputs of the graph instead of constants in it. */
const LARGEST_CONSTANT_TABLE = 65_536;

/** The tensors that a file stores: parameters, tables and constants, made when a node asks for them. */
export class StoredTensors {
  readonly parameters: StoredTensor[] = [];
  /** Inputs that are not trained. */
  readonly tables: StoredTensor[] = [];
  /** By name: all tensors of floats that were asked for. */
  readonly rows = new Map<string, StoredRow>();

  readonly #graph: GraphBuilder;
  readonly #file: StoredFile;
  readonly #budget: ConstantBudget;
  readonly #readExternal: ReadExternal | undefined;
  readonly #made = new Map<string, Tensor | Known>();

  constructor(
    graph: GraphBuilder,
    file: GraphProto,
    tensors: readonly TensorProto[],
    nodes: readonly NodeProto[],
    { budget, ...options }: StoredFileOptions & { budget: ConstantBudget },
  ) {
    this.#graph = graph;
    this.#file = new StoredFile(file, nodes, tensors, { ...options, float: graph.float });
    this.#budget = budget;
    this.#readExternal = options.readExternal;
  }

  has(name: string): boolean {
    return this.#file.has(name);
  }

  /** Of a node that asks for nothing else: exporters compute shapes of weights. */
  shapeOf(name: string): Shape | undefined {
    return this.has(name) ? checkedShape(whatIs(name), this.#file.proto(name).dims) : undefined;
  }

  /** The stored tensor `name` as `user` reads it. */
  for(name: string, user: NodeProto): Tensor | Known {
    const own = this.#file.verdict(name);
    // An exporter that merges equal vectors merges weights that are 1 with statistics that are 1.
    if (!own.trains && own.why !== "statistics" && own.why !== "name") return this.#make(name, name, own);
    const owner = this.#file.ownership.owner(name, user);
    const copy = owner === name && own.trains ? this.#file.copies().get(name) : undefined;
    if (copy !== undefined) return this.#copy(name, copy);
    return this.#make(owner, name, this.#file.verdict(owner, name));
  }

  /** What a person should know about how the tensors were taken. */
  notes(): string[] {
    return storedNotes(this.#file, this.rows);
  }

  /** @throws Failure `no-such-parameter` */
  checkPatterns(): void {
    this.#file.checkPatterns([...this.rows.values()].flatMap(({ name, from = [] }) => from.concat(name)));
  }

  #copy(name: string, copy: Copy): Tensor | Known {
    const known = this.#made.get(name);
    if (known) return known;
    const verdict = this.#file.verdict(copy.of);
    const source = this.#make(copy.of, copy.of, verdict);
    const shape = checkedShape(whatIs(name), this.#file.proto(name).dims);
    const made = "values" in source || copy.form === "same" ? source : inForm(source, copy, shape);
    this.#made.set(name, made);
    this.rows.set(name, { name, shape, size: sizeOf(shape), copy, ...verdict });
    return made;
  }

  /** The parameter or table `owner`, whose numbers the stored tensor `name` holds. */
  #make(owner: string, name: string, verdict: Verdict): Tensor | Known {
    const made = this.#made.get(owner);
    if (made) return made;
    const proto = this.#file.proto(name);
    const what = whatIs(owner);
    const shape = checkedShape(what, proto.dims);
    const size = sizeOf(shape);
    const isOfFloats = isFloat(elementTypeIn(proto.dataType, this.#graph.float));
    const { trains } = verdict;
    const isTable = !trains && isOfFloats && (size > LARGEST_CONSTANT_TABLE || verdict.why === "asked");
    let value: Tensor | Known;
    if (trains || isTable) {
      checkStored(what, proto);
      const tensor = this.#graph.input(owner, shape);
      const read = (): Float32Array => tensorFloats(what, proto, this.#readExternal);
      const row = { name: owner, shape, size, decay: trains && shape.length > 1, tensor, read };
      (trains ? this.parameters : this.tables).push(row);
      value = tensor;
    } else {
      value = readTensor(what, proto, this.#graph.float, this.#budget, this.#readExternal);
    }
    if (isOfFloats && (size > 1 || trains))
      this.rows.set(owner, { name: owner, shape, size, copy: null, ...verdict });
    this.#made.set(owner, value);
    return value;
  }
}

function inForm(tensor: Tensor, { form }: Copy, shape: Shape): Tensor {
  if (form === "repeated") return tensor.expand(shape);
  return form === "transposed" ? tensor.transpose(1, 0) : tensor.reshape(shape);
}

function whatIs(name: string): string {
  return `The tensor "${printable(name)}"`;
}
