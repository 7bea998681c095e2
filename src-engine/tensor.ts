import { ELEMENT_TYPES, type ElementType, type FloatType } from "./element-type.ts";
import { axisOf, type Shape, sameShape, sizeOf } from "./shape.ts";

/** What a tensor, and so a rule, asks of the graph that it is in: nodes and constants appended. */
export interface TensorGraph {
  readonly float: FloatType;
  apply(op: string, inputs: readonly Tensor[], attributes?: GivenAttributes): Tensor;
  applyAll(op: string, inputs: readonly Tensor[], attributes?: GivenAttributes): readonly Tensor[];
  constant(type: ElementType, shape: Shape, values: readonly number[]): Tensor;
  full(shape: Shape, value: number): Tensor;
  indices(values: readonly number[]): Tensor;
}

type GivenAttributes = Readonly<Record<string, number | string | readonly number[]>>;

/** Optional parts of a Gemm: `op(a) · op(b) + c`. */
interface GemmOptions {
  transA?: boolean;
  transB?: boolean;
  plus?: Tensor | undefined;
}

/**
 * A value in a graph under construction: a shape and a type, no numbers (except constants). Its
 * methods append nodes, so rules and models read like formulas.
 */
export class Tensor {
  readonly graph: TensorGraph;
  readonly id: number;
  readonly type: ElementType;
  readonly shape: Shape;
  /** The numbers of a constant. */
  readonly value: readonly number[] | null;

  constructor(
    graph: TensorGraph,
    id: number,
    type: ElementType,
    shape: Shape,
    value: readonly number[] | null = null,
  ) {
    this.graph = graph;
    this.id = id;
    this.type = type;
    this.shape = shape;
    this.value = value;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Size of an axis; negative axes count from the end. */
  dim(axis: number): number {
    return this.shape[axisOf(axis, this.rank)] as number;
  }

  // Elementwise, with broadcasting. Numbers become constants of this tensor's type.
  add(other: Tensor | number): Tensor {
    return this.#apply("Add", other);
  }
  sub(other: Tensor | number): Tensor {
    return this.#apply("Sub", other);
  }
  mul(other: Tensor | number): Tensor {
    const factor = this.#lift(other);
    const isOne = factor.value?.length === 1 && factor.value[0] === 1;
    return isOne && factor.rank <= this.rank ? this : this.#apply("Mul", factor);
  }
  div(other: Tensor | number): Tensor {
    return this.#apply("Div", other);
  }
  pow(exponent: Tensor | number): Tensor {
    return this.#apply("Pow", exponent);
  }
  greater(other: Tensor | number): Tensor {
    return this.#apply("Greater", other);
  }
  less(other: Tensor | number): Tensor {
    return this.#apply("Less", other);
  }
  equal(other: Tensor | number): Tensor {
    return this.#apply("Equal", other);
  }
  neg(): Tensor {
    return this.#apply("Neg");
  }
  exp(): Tensor {
    return this.#apply("Exp");
  }
  log(): Tensor {
    return this.#apply("Log");
  }
  sqrt(): Tensor {
    return this.#apply("Sqrt");
  }
  reciprocal(): Tensor {
    return this.#apply("Reciprocal");
  }
  sigmoid(): Tensor {
    return this.#apply("Sigmoid");
  }
  tanh(): Tensor {
    return this.#apply("Tanh");
  }
  erf(): Tensor {
    return this.#apply("Erf");
  }
  /** Of a condition (bool): `yes` where true, `no` elsewhere. */
  where(yes: Tensor, no: Tensor): Tensor {
    return this.graph.apply("Where", [this, yes, no]);
  }
  cast(to: ElementType): Tensor {
    return to === this.type ? this : this.graph.apply("Cast", [this], { to: ELEMENT_TYPES[to].onnx });
  }

  // Reductions; summed axes stay with size 1.
  sum(...axes: number[]): Tensor {
    return this.graph.apply("ReduceSum", [this, this.graph.indices(axes)], { keepdims: 1 });
  }
  mean(...axes: number[]): Tensor {
    return this.graph.apply("ReduceMean", [this, this.graph.indices(axes)], { keepdims: 1 });
  }
  max(...axes: number[]): Tensor {
    return this.graph.apply("ReduceMax", [this, this.graph.indices(axes)], { keepdims: 1 });
  }
  softmax(axis = -1): Tensor {
    return this.graph.apply("Softmax", [this], { axis });
  }
  logSoftmax(axis = -1): Tensor {
    return this.graph.apply("LogSoftmax", [this], { axis });
  }
  /** Undoes broadcasting: sums over every axis along which `shape` was repeated. */
  sumTo(shape: Shape): Tensor {
    if (sameShape(shape, this.shape)) return this;
    const padding = this.rank - shape.length;
    const repeated = this.shape.flatMap((size, i) =>
      size !== 1 && (shape[i - padding] ?? 1) === 1 ? [i] : [],
    );
    return (repeated.length > 0 ? this.sum(...repeated) : this).reshape(shape);
  }

  // Shape.
  reshape(shape: Shape): Tensor {
    return sameShape(shape, this.shape)
      ? this
      : this.graph.apply("Reshape", [this, this.graph.indices(shape)]);
  }
  /** `[…, k]` as `[n, k]`. */
  rows(): Tensor {
    const last = this.dim(-1);
    return this.reshape([sizeOf(this.shape) / last, last]);
  }
  expand(shape: Shape): Tensor {
    return sameShape(shape, this.shape)
      ? this
      : this.graph.apply("Expand", [this, this.graph.indices(shape)]);
  }
  /** Axis i of the result is axis `perm[i]` of this tensor. */
  transpose(...perm: number[]): Tensor {
    return this.graph.apply("Transpose", [this], { perm });
  }
  /** The last two axes exchanged. */
  transposed(): Tensor {
    const axes = this.shape.map((_, i) => i);
    return this.transpose(...axes.slice(0, -2), this.rank - 1, this.rank - 2);
  }
  split(axis: number, sizes: readonly number[]): readonly Tensor[] {
    return this.graph.applyAll("Split", [this, this.graph.indices(sizes)], { axis });
  }
  concat(others: readonly Tensor[], axis: number): Tensor {
    return this.graph.apply("Concat", [this, ...others], { axis });
  }
  /** Positions `start` to `end` (exclusive) of an axis. */
  slice(axis: number, start: number, end: number): Tensor {
    const list = (value: number): Tensor => this.graph.indices([value]);
    if (start === 0 && end === this.dim(axis)) return this;
    return this.graph.apply("Slice", [this, list(start), list(end), list(axis)]);
  }
  /** Zeros added before and after along an axis. */
  pad(axis: number, before: number, after: number): Tensor {
    if (before === 0 && after === 0) return this;
    const at = (amount: number): number[] =>
      this.shape.map((_, i) => (i === axisOf(axis, this.rank) ? amount : 0));
    return this.graph.apply("Pad", [this, this.graph.indices([...at(before), ...at(after)])]);
  }
  /** Positions of an axis chosen by a constant list. */
  take(axis: number, positions: readonly number[]): Tensor {
    return this.graph.apply("Gather", [this, this.graph.indices(positions)], { axis });
  }

  // Products.
  matmul(other: Tensor): Tensor {
    return this.graph.apply("MatMul", [this, other]);
  }
  /** Matrices only. */
  gemm(other: Tensor, { transA = false, transB = false, plus }: GemmOptions = {}): Tensor {
    const inputs = plus ? [this, other, plus] : [this, other];
    return this.graph.apply("Gemm", inputs, { transA: Number(transA), transB: Number(transB) });
  }
  /** Rows of this matrix chosen by integer `ids`: `[…ids.shape, width]`. */
  gather(ids: Tensor): Tensor {
    return this.graph.apply("Gather", [this, ids], { axis: 0 });
  }

  #apply(op: string, other?: Tensor | number): Tensor {
    return this.graph.apply(op, other === undefined ? [this] : [this, this.#lift(other)]);
  }

  #lift(other: Tensor | number): Tensor {
    return typeof other === "number" ? this.graph.constant(this.type, [], [other]) : other;
  }
}
