import { Failure } from "../../src-protocol/failure.ts";
import type { GraphBuilder } from "../graph-builder.ts";
import type { NodeProto, TensorProto } from "../onnx_pb.js";
import { type Shape, sizeOf } from "../shape.ts";
import type { ParameterInfo } from "../stage.ts";
import type { Tensor } from "../tensor.ts";
import { elementTypeIn, isFloat } from "./element-types.ts";
import type { ReadExternal } from "./external-data.ts";
import { checkStored, isMask, readTensor, tensorFloats } from "./initializer.ts";
import type { Known } from "./known.ts";
import { type ConstantBudget, checkedShape } from "./limits.ts";
import { nodeName, printable } from "./model-bytes.ts";

/** A stored tensor that became an input of the graph. */
export interface StoredTensor extends ParameterInfo {
  tensor: Tensor;
  /** Its numbers in the file, in float32. Read when they are needed: models are larger than memory. */
  read(): Float32Array;
}

/** Whether a stored float tensor of more than one element is trained. */
export type IsTrained = (name: string, shape: Shape) => boolean;

/** Tables that exporters store beside the parameters: rotary positions, masks, running statistics. */
const TABLE =
  /(^|[._/])(inv_freq|freqs_cis|cos|sin|(cos|sin)_cached?|rotary\w*|\w*mask\w*|triu|tril|running_(mean|var)|moving_(mean|variance)|position_ids)$/i;

export const isTrainedByName: IsTrained = (name) => !TABLE.test(name);

/** From this input on, what these operators read is never trained: running statistics, ratios of sizes. */
const UNTRAINED_FROM: Readonly<Record<string, number>> = { BatchNormalization: 3, Resize: 1, Upsample: 1 };

/** Larger tables become inputs of the graph instead of constants in it. */
const LARGEST_CONSTANT_TABLE = 65_536;

/** Beyond this, a stored tensor is not looked through for equal values. */
const LARGEST_COMPARED = 2 ** 20;

/** The tensors that a file stores: parameters, tables and constants, made when a node asks for them. */
export class StoredTensors {
  readonly parameters: StoredTensor[] = [];
  /** Inputs that are not trained. */
  readonly tables: StoredTensor[] = [];
  /** What a person should know about how the tensors were taken. */
  readonly notes: string[] = [];

  readonly #graph: GraphBuilder;
  readonly #protos: ReadonlyMap<string, TensorProto>;
  readonly #budget: ConstantBudget;
  readonly #isTrained: IsTrained;
  readonly #readExternal: ReadExternal | undefined;
  /** Of each stored tensor, the nodes that read it. */
  readonly #uses = new Map<string, number>();
  /** Of each merged vector, the parameters that it became. */
  readonly #untied = new Map<string, Set<string>>();
  readonly #made = new Map<string, Tensor | Known>();
  readonly #untrained = new Set<string>();

  constructor(
    graph: GraphBuilder,
    tensors: readonly TensorProto[],
    nodes: readonly NodeProto[],
    {
      budget,
      isTrained = isTrainedByName,
      readExternal,
    }: {
      budget: ConstantBudget;
      isTrained?: IsTrained | undefined;
      readExternal?: ReadExternal | undefined;
    },
  ) {
    this.#graph = graph;
    this.#protos = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    if (this.#protos.size !== tensors.length || this.#protos.has(""))
      throw new Failure("bad-model-file", "The model stores two tensors of one name. Export it again.");
    this.#budget = budget;
    this.#isTrained = isTrained;
    this.#readExternal = readExternal;
    for (const { opType, input } of nodes) {
      for (const name of new Set(input)) this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1);
      for (const name of input.slice(
        Object.hasOwn(UNTRAINED_FROM, opType) ? UNTRAINED_FROM[opType] : input.length,
      ))
        this.#untrained.add(name);
    }
  }

  has(name: string): boolean {
    return this.#protos.has(name);
  }

  /** Of a node that asks for nothing else: exporters compute shapes of weights. */
  shapeOf(name: string): Shape | undefined {
    const proto = this.#protos.get(name);
    return proto && checkedShape(`The tensor "${printable(name)}"`, proto.dims);
  }

  /**
   * The stored tensor `name` as `user` reads it.
   *
   * One name is one tensor, however many nodes read it: a tied matrix is one parameter, whose
   * gradients are summed. The exception are vectors of equal numbers: exporters merge the norm
   * weights of a whole model because all are 1 at first. Each user gets its own.
   */
  for(name: string, user: NodeProto): Tensor | Known {
    const proto = this.#protos.get(name);
    if (!proto) throw new RangeError(`There is no stored tensor ${name}`);
    if (!this.#wasMerged(name, proto)) return this.#make(name, proto);
    const apart = this.#untied.get(name) ?? new Set();
    this.#untied.set(name, apart);
    // An exporter that merges with Identity keeps the parameter's own name as its output's.
    const reader = user.opType === "Identity" ? (user.output[0] ?? "") : `${name}@${nodeName(user)}`;
    const own = user.opType === "Identity" || apart.has(name) ? reader : name;
    apart.add(own);
    if (apart.size === 2)
      this.notes.push(
        `The vector "${printable(name)}" holds one number only and is read by several nodes: each of them trains its own.`,
      );
    return this.#make(own, proto);
  }

  #wasMerged(name: string, proto: TensorProto): boolean {
    if ((this.#uses.get(name) ?? 0) < 2 || proto.dims.length !== 1 || !this.#trains(name, proto))
      return false;
    if (sizeOf(checkedShape(name, proto.dims)) > LARGEST_COMPARED) return false;
    if (this.#untied.has(name)) return true;
    const numbers = tensorFloats(`The tensor "${printable(name)}"`, proto, this.#readExternal);
    return numbers.every((value) => value === numbers[0]);
  }

  #trains(name: string, proto: TensorProto): boolean {
    const shape = checkedShape(`The tensor "${printable(name)}"`, proto.dims);
    return (
      isFloat(elementTypeIn(proto.dataType, this.#graph.float)) &&
      sizeOf(shape) > 1 &&
      !this.#untrained.has(name) &&
      !(shape.length > 1 && isMask(proto)) &&
      this.#isTrained(name, shape)
    );
  }

  #make(name: string, proto: TensorProto): Tensor | Known {
    const made = this.#made.get(name);
    if (made) return made;
    const what = `The tensor "${printable(name)}"`;
    const shape = checkedShape(what, proto.dims);
    const size = sizeOf(shape);
    const trains = this.#trains(name, proto);
    const isTable =
      !trains && size > LARGEST_CONSTANT_TABLE && isFloat(elementTypeIn(proto.dataType, this.#graph.float));
    let value: Tensor | Known;
    if (trains || isTable) {
      checkStored(what, proto);
      const tensor = this.#graph.input(name, shape);
      const read = (): Float32Array => tensorFloats(what, proto, this.#readExternal);
      const row = { name, shape, size, decay: trains && shape.length > 1, tensor, read };
      (trains ? this.parameters : this.tables).push(row);
      value = tensor;
    } else {
      value = readTensor(what, proto, this.#graph.float, this.#budget, this.#readExternal);
    }
    this.#made.set(name, value);
    return value;
  }
}
