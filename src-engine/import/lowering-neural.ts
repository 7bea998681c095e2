import { Failure } from "../../src-protocol/failure.ts";
import type { ElementType } from "../element-type.ts";
import { axisOf, broadcast, sameShape, sizeOf } from "../shape.ts";
import { OPERATORS } from "../operators.ts";
import type { Tensor } from "../tensor.ts";
import { asRow, type ImportCall, type Lowering } from "./import-call.ts";

/** Before operator set 13: over all axes from `axis` on, which is 1 if not given. */
function alongRows(op: "Softmax" | "LogSoftmax"): Lowering {
  return (call) => {
    const { tensor, attributes, opset } = call;
    const x = tensor(0);
    if (x.rank === 0) throw new Failure("bad-shape", `${op} of a single number.`);
    if (opset >= 13) return asRow(call);
    const axis = axisOf(attributes.number("axis", 1), x.rank);
    const width = sizeOf(x.shape.slice(axis));
    const rows = x.reshape([sizeOf(x.shape) / width, width]);
    return [(op === "Softmax" ? rows.softmax() : rows.logSoftmax()).reshape(x.shape)];
  };
}

/** The axes: an attribute before operator sets 13 and 18, then an input; all if there is none. */
function reduce(call: ImportCall): readonly Tensor[] {
  const { graph, op, tensor, known, attributes } = call;
  const x = tensor(0);
  const given = known(1)?.values ?? attributes.numbers("axes") ?? [];
  if (given.length === 0 && attributes.number("noop_with_empty_axes", 0) === 1) return [x];
  const axes =
    given.length === 0 ? x.shape.map((_, axis) => axis) : given.map((axis) => axisOf(axis, x.rank));
  // Of a single number too, some give another one: its logarithm, its square.
  if (axes.length === 0)
    return graph
      .applyAll(op as "ReduceSum", [x.reshape([1]), graph.indices([0])], { keepdims: 0 })
      .map((y) => y.reshape([]));
  return graph.applyAll(op as "ReduceSum", [x, graph.indices(axes)], {
    keepdims: attributes.number("keepdims", 1),
  });
}

/** A vector as a matrix of one row or column, which the product drops again. */
function matmul({ tensor }: ImportCall): Tensor[] {
  const [a, b] = [tensor(0), tensor(1)];
  if (a.rank === 0 || b.rank === 0) throw new Failure("bad-shape", "A single number is no matrix.");
  const y = (a.rank === 1 ? a.reshape([1, a.dim(0)]) : a).matmul(b.rank === 1 ? b.reshape([b.dim(0), 1]) : b);
  if (a.rank > 1 && b.rank > 1) return [y];
  const stack = y.shape.slice(0, -2);
  return [y.reshape([...stack, ...(a.rank > 1 ? [y.dim(-2)] : []), ...(b.rank > 1 ? [y.dim(-1)] : [])])];
}

/** ONNX stretches the third input to the product, but not the product to it. */
function gemm(call: ImportCall): readonly Tensor[] {
  for (const flag of ["transA", "transB"]) {
    const value = call.attributes.number(flag, 0);
    if (value !== 0 && value !== 1) throw new Failure("bad-node", `Its ${flag} is ${value}, not 0 or 1.`);
  }
  const c = call.optional(2);
  if ([call.tensor(0), call.tensor(1)].some(({ rank }) => rank !== 2))
    throw new Failure(
      "bad-shape",
      `[${call.tensor(0).shape}] and [${call.tensor(1).shape}] are no matrices.`,
    );
  const [y] = asRow(call);
  if (!y || (c && !sameShape(broadcast(c.shape, y.shape), y.shape)))
    throw new Failure("bad-shape", `[${c?.shape}] is added to a product of [${y?.shape}].`);
  return [y];
}

/**
 * Exporters write norms, standard deviations and cosines as the root of a sum of squares, which can be 0 where what
 * they wrote it for has the slope 0 (PyTorch's `norm`, `std`, `cosine_similarity`), and a root none.
 */
function root({ graph }: ImportCall, x: Tensor): Tensor {
  const maker = graph.nodes.findLast(({ outputs }) => outputs.includes(x));
  const isAbove0 =
    maker?.op === "Add" && maker.inputs.some(({ value }) => value?.length === 1 && (value[0] ?? 0) > 0);
  if (isAbove0) return x.sqrt();
  const [zero, one] = [graph.constant(x.type, [], [0]), graph.constant(x.type, [], [1])];
  const isZero = x.equal(0);
  return isZero.where(zero, isZero.where(one, x).sqrt());
}

/** Exponents are whole numbers in some exports, floats in others. */
function power(call: ImportCall): Tensor[] {
  const { graph, tensor } = call;
  const x = tensor(0);
  const exponent = tensor(1);
  const value = exponent.value?.length === 1 && exponent.rank <= x.rank ? exponent.value[0] : undefined;
  if (value === 2) return [x.mul(x)];
  if (value === 1) return [x];
  if (value === 0.5) return [root(call, x)];
  return [graph.apply("Pow", [x, exponent.cast(x.type)])];
}

/** What stands for a bound that is left out. */
const FURTHEST: Readonly<Record<ElementType, number>> = {
  float32: 3.4028234663852886e38,
  float64: 3.4028234663852886e38,
  int32: 2 ** 31 - 1,
  int64: Number.MAX_SAFE_INTEGER,
  bool: 1,
};

/** Bounds: attributes before operator set 11, then inputs, of which either may be left out. */
function clip({ graph, tensor, optional, attributes }: ImportCall): Tensor[] {
  const x = tensor(0);
  const bound = (i: number, name: string, none: number): Tensor =>
    optional(i)?.reshape([]) ?? graph.constant(x.type, [], [attributes.number(name, none)]);
  const furthest = FURTHEST[x.type];
  return [graph.apply("Clip", [x, bound(1, "min", -furthest), bound(2, "max", furthest)])];
}

/** Nothing is dropped: training without dropout differs from the file only in its noise. */
function dropout({ tensor, graph, outputs }: ImportCall): Tensor[] {
  const x = tensor(0);
  return outputs > 1 ? [x, graph.constant("bool", [], [1]).expand(x.shape)] : [x];
}

/** Operators of networks, in the forms in which the table has them. */
export const lowerNeural: Readonly<Record<string, Lowering>> = {
  Sum: ({ tensor, inputs }) => {
    const [first, ...others] = Array.from({ length: inputs }, (_, i) => tensor(i)) as [Tensor, ...Tensor[]];
    return [others.reduce((sum, each) => sum.add(each), first)];
  },
  Pow: power,
  Sqrt: (call) => [root(call, call.tensor(0))],
  Clip: clip,
  MatMul: matmul,
  Gemm: gemm,
  Softmax: alongRows("Softmax"),
  LogSoftmax: alongRows("LogSoftmax"),
  ...Object.fromEntries(
    Object.keys(OPERATORS)
      .filter((op) => op.startsWith("Reduce"))
      .map((op) => [op, reduce]),
  ),
  /** ONNX Runtime's older name. */
  SimplifiedLayerNormalization: (call) => asRow({ ...call, op: "RMSNormalization" }),
  Dropout: dropout,
  TopK: (call) => {
    const [x, k] = [call.tensor(0), call.known(1)?.values[0] ?? call.attributes.number("k", 0)];
    if (x.rank === 0) throw new Failure("bad-shape", "A single number has no greatest ones.");
    const { attributes } = call;
    return call.graph.applyAll("TopK", [x, call.graph.indices([k])], {
      axis: attributes.number("axis", -1),
      largest: attributes.number("largest", 1),
      sorted: attributes.number("sorted", 1),
    });
  },
  Trilu: (call) => {
    const k = call.optional(1);
    if (k && (sizeOf(k.shape) !== 1 || k.rank > 1 || k.type !== "int64"))
      throw new Failure(
        "bad-shape",
        `The diagonal of a triangle is ${k.type} of shape [${k.shape}], not one number.`,
      );
    if (call.tensor(0).rank >= 2) return asRow(call);
    throw new Failure("bad-shape", `[${call.tensor(0).shape}] has no triangle.`);
  },
  Identity: ({ tensor }) => [tensor(0)],
  Where: ({ tensor, name }) => {
    const [condition, a, b] = [tensor(0), tensor(1), tensor(2)];
    if (condition.type !== "bool" || a.type !== b.type) {
      throw new Failure(
        "unsupported-type",
        `Node ${name} (Where) chooses between ${a.type} and ${b.type} by ${condition.type}. The file is damaged: export it again.`,
      );
    }
    return [condition.where(a, b)];
  },
};
