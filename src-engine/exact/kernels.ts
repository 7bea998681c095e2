import type { AttributeValue } from "../operator.ts";
import type { Tensor } from "../tensor.ts";
import { exactConvolution, exactTransposedConvolution } from "./convolutions.ts";
import { exactCos, exactLog, exactSin, exactSoftplus } from "./functions.ts";
import { exactAveragePool } from "./poolings.ts";
import { exactMatmul, exactProduct } from "./products.ts";
import { exactLogSoftmax, exactLogSumExp, exactSoftmax, exactSum } from "./sums.ts";

/** A primitive as it is used: its inputs and its attributes, all given. */
export interface Use {
  inputs: readonly Tensor[];
  attributes: Readonly<Record<string, AttributeValue>>;
}

/**
 * What is known about ONNX Runtime's kernel of an operator, in float32:
 *
 * - `safe`: the same bits on AVX-512, AVX2 and NEON, on any number of threads; `safe` says why.
 * - `written`: it differs (`differs` says where), and is written in others that are safe; null for
 *   uses that cannot be.
 * - `refused`: it differs, or nobody looked, and there is no other way to write it yet.
 */
export type ExactKernel =
  | { readonly safe: Evidence }
  | { readonly differs: string; readonly written: (use: Use) => Tensor | readonly Tensor[] | null }
  | { readonly refused: string };

/**
 * - `moves`: copies values, or compares them.
 * - `rounded`: one operation of IEEE 754 for each element, rounded in one way everywhere.
 * - `measured`: MLAS computes it with the same polynomial in every instruction set that has fused
 *   multiply-adds; compared bit for bit on AVX-512, AVX2 and NEON.
 */
type Evidence = "moves" | "rounded" | "measured";

const moves: ExactKernel = { safe: "moves" };
const rounded: ExactKernel = { safe: "rounded" };
const measured: ExactKernel = { safe: "measured" };

const LIBRARY = "computed by Eigen or the C library, which differ between processors and systems";
const CONTRACTED = "a product and a sum, which compilers for ARM fuse into one rounding and others do not";
const ORDER = "the order of the sum differs between AVX and NEON";

function unary(differs: string, write: (x: Tensor) => Tensor): ExactKernel {
  return { differs, written: ({ inputs: [x] }) => (x ? write(x) : null) };
}

/** A reduction: over the axes given, or all; `keepdims` as ONNX has it. */
function reduction(differs: string, write: (x: Tensor, axes: readonly number[]) => Tensor): ExactKernel {
  return {
    differs,
    written: ({ inputs: [x, list], attributes: { keepdims, noop_with_empty_axes } }) => {
      if (!x) return null;
      const axes = list?.value ?? [];
      const isNone = axes.length === 0 && noop_with_empty_axes === 1;
      const all = axes.length > 0 || isNone ? axes : [...x.shape.keys()];
      const kept = write(x, all);
      if (keepdims !== 0) return kept;
      const dropped = new Set(all.map((axis) => (axis < 0 ? axis + x.rank : axis)));
      return kept.reshape(x.shape.filter((_, axis) => !dropped.has(axis)));
    },
  };
}

const isWhole = ({ type }: Tensor): boolean => type.startsWith("int");

/** Sums of whole numbers are exact in any order. */
function sumOf(x: Tensor, axes: readonly number[], factor = 1): Tensor {
  return isWhole(x) ? x.sum(...axes) : exactSum(x, axes, factor);
}

function countOf(x: Tensor, axes: readonly number[]): number {
  return axes.reduce((count, axis) => count * x.dim(axis), 1);
}

/** Whole powers and those of quarters, by products and square roots. */
function power(x: Tensor, exponent: number | undefined): Tensor | null {
  if (exponent === undefined || Math.abs(exponent) > 64 || !Number.isInteger(exponent * 4)) return null;
  const one = x.graph.constant(x.type, [], [1]);
  if (exponent < 0) {
    const positive = power(x, -exponent);
    return positive && one.div(positive);
  }
  const quarters = (exponent % 1) * 4;
  const half = x.sqrt();
  let result = [null, half.sqrt(), half, half.mul(half.sqrt())][quarters] ?? null;
  for (let rest = Math.floor(exponent), square = x; rest >= 1; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = result ? result.mul(square) : square;
    if (rest > 1) square = square.mul(square);
  }
  return result ?? one.expand(x.shape);
}

/** The one table of kernels. A primitive that is missing here is not exact. */
export const EXACT_KERNELS: Readonly<Record<string, ExactKernel>> = {
  Add: rounded,
  Sub: rounded,
  Mul: rounded,
  Div: rounded,
  Sqrt: rounded,
  Neg: rounded,
  Abs: rounded,
  Relu: rounded,
  LeakyRelu: rounded,
  Floor: rounded,
  Ceil: rounded,
  Round: rounded,
  Sign: rounded,
  Cast: rounded,
  Mod: rounded,
  CumSum: rounded,

  Max: moves,
  Min: moves,
  Clip: moves,
  Where: moves,
  Identity: moves,
  Equal: moves,
  Greater: moves,
  GreaterOrEqual: moves,
  Less: moves,
  LessOrEqual: moves,
  And: moves,
  Or: moves,
  Xor: moves,
  Not: moves,
  IsNaN: moves,
  ReduceMax: moves,
  ReduceMin: moves,
  ArgMax: moves,
  ArgMin: moves,
  TopK: moves,
  MaxPool: moves,
  Reshape: moves,
  Flatten: moves,
  Squeeze: moves,
  Unsqueeze: moves,
  Expand: moves,
  Transpose: moves,
  Split: moves,
  Concat: moves,
  Trilu: moves,
  Slice: moves,
  Pad: moves,
  Tile: moves,
  Gather: moves,
  GatherElements: moves,
  /** "add" adds on one thread, in the order of the positions. */
  ScatterElements: rounded,

  Exp: measured,
  Sigmoid: measured,
  Tanh: measured,
  Erf: measured,

  Pow: {
    differs: LIBRARY,
    written: ({ inputs: [x, n] }) => (x && power(x, n?.value?.length === 1 ? n.value[0] : undefined)) || null,
  },
  Reciprocal: unary("estimated on ARM, 1 ulp off in a third of all cases", (x) =>
    x.graph.constant(x.type, [], [1]).div(x),
  ),
  Log: unary(LIBRARY, exactLog),
  Sin: unary(LIBRARY, exactSin),
  Cos: unary(LIBRARY, exactCos),
  Tan: unary(LIBRARY, (x) => exactSin(x).div(exactCos(x))),
  Softplus: unary(LIBRARY, exactSoftplus),
  Sinh: unary(LIBRARY, (x) => x.exp().sub(x.neg().exp()).mul(0.5)),
  Cosh: unary(LIBRARY, (x) => x.exp().add(x.neg().exp()).mul(0.5)),
  Asin: { refused: LIBRARY },
  Acos: { refused: LIBRARY },
  Atan: { refused: LIBRARY },
  Asinh: { refused: LIBRARY },
  Acosh: { refused: LIBRARY },
  Atanh: { refused: LIBRARY },
  Elu: {
    differs: LIBRARY,
    written: ({ inputs: [x], attributes: { alpha } }) => {
      if (!x) return null;
      const below = x.graph.apply("Min", [x, x.graph.constant(x.type, [], [0])]);
      return x.greater(0).where(x, below.exp().sub(1).mul(Number(alpha)));
    },
  },
  HardSigmoid: {
    differs: CONTRACTED,
    written: ({ inputs: [x], attributes: { alpha, beta } }) => {
      if (!x) return null;
      const number = (value: number): Tensor => x.graph.constant(x.type, [], [value]);
      return x.graph.apply("Clip", [x.mul(Number(alpha)).add(Number(beta)), number(0), number(1)]);
    },
  },

  ReduceSum: reduction(ORDER, (x, axes) => sumOf(x, axes)),
  ReduceMean: reduction(ORDER, (x, axes) => sumOf(x, axes, 1 / countOf(x, axes))),
  ReduceSumSquare: reduction(ORDER, (x, axes) => sumOf(x.mul(x), axes)),
  ReduceL1: reduction(ORDER, (x, axes) => sumOf(x.graph.apply("Abs", [x]), axes)),
  ReduceL2: reduction(ORDER, (x, axes) => sumOf(x.mul(x), axes).sqrt()),
  ReduceLogSum: reduction(ORDER, (x, axes) => exactLog(sumOf(x, axes))),
  ReduceLogSumExp: reduction(ORDER, (x, axes) => exactLogSumExp(x, axes, exactLog)),
  ReduceProd: { refused: "the order of the products differs between processors" },
  Softmax: {
    differs: "AVX-512, AVX2 and NEON each sum in another order",
    written: ({ inputs: [x], attributes: { axis } }) => (x ? exactSoftmax(x, Number(axis)) : null),
  },
  LogSoftmax: {
    differs: "AVX-512, AVX2 and NEON each sum in another order",
    written: ({ inputs: [x], attributes: { axis } }) =>
      x ? exactLogSoftmax(x, Number(axis), exactLog) : null,
  },

  MatMul: {
    differs: "one row or column, and long sums of which threads get few columns",
    written: ({ inputs: [a, b] }) => (a && b ? exactMatmul(a, b) : null),
  },
  Gemm: {
    differs: "one row or column, and long sums of which threads get few columns",
    written: ({ inputs: [a, b, c], attributes: { transA, transB, alpha, beta } }) => {
      if (!a || !b) return null;
      const product = exactProduct(a, b, transA === 1, transB === 1).mul(Number(alpha));
      return c ? product.add(c.mul(Number(beta))) : product;
    },
  },
  Conv: {
    differs: "one filter, and sums whose order depends on the threads",
    written: ({ inputs, attributes }) => exactConvolution(inputs, attributes),
  },
  ConvTranspose: {
    differs: "one filter, and sums whose order depends on the threads",
    written: ({ inputs, attributes }) => exactTransposedConvolution(inputs, attributes),
  },
  AveragePool: {
    differs: ORDER,
    written: ({ inputs: [x], attributes }) => (x ? exactAveragePool(x, attributes) : null),
  },
};
