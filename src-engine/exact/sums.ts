import { axisOf, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { exactProduct } from "./products.ts";

const MOST_SLICES = 64;

/**
 * The sum over `axes`, which stay with size 1, times `factor`: a product with two equal columns, of
 * which one is kept. Its order is known, where reductions have one for each processor and size.
 */
export function exactSum(x: Tensor, axes: readonly number[], factor = 1): Tensor {
  const summed = new Set(axes.map((axis) => axisOf(axis, x.rank)).filter((axis) => x.dim(axis) > 1));
  const scaled = (sum: Tensor): Tensor => (factor === 1 ? sum : sum.mul(factor));
  if (summed.size === 0) return scaled(x);
  const shape = x.shape.map((size, axis) => (summed.has(axis) ? 1 : size));
  const trailing = trailingAxes(x, summed);
  if (trailing.length > 0) {
    const width = sizeOf(trailing.map((axis) => x.dim(axis)));
    const rows = x.reshape([sizeOf(x.shape) / width, width]);
    const isLast = trailing.length === summed.size;
    const sums = exactProduct(rows, x.graph.full([width, 1], isLast ? factor : 1), false, false);
    const kept = sums.reshape(x.shape.map((size, axis) => (trailing.includes(axis) ? 1 : size)));
    return isLast
      ? kept
      : exactSum(
          kept,
          [...summed].filter((axis) => !trailing.includes(axis)),
          factor,
        );
  }
  const first = [...x.shape.keys()].filter((axis) => summed.has(axis));
  // A short axis in the middle: its slices one after the other, without moving the rest.
  const [only = 0, ...more] = first;
  if (only > 0 && more.length === 0 && x.dim(only) <= MOST_SLICES) {
    const slices = x.split(
      only,
      Array.from({ length: x.dim(only) }, () => 1),
    );
    return scaled(slices.reduce((sum, each) => sum.add(each)));
  }
  const others = [...x.shape.keys()].filter((axis) => !summed.has(axis));
  const isLeading = first.every((axis, i) => axis === i);
  const moved = isLeading ? x : x.transpose(...first, ...others);
  const rows = sizeOf(first.map((axis) => x.dim(axis)));
  const matrix = moved.reshape([rows, sizeOf(x.shape) / rows]);
  return exactProduct(matrix, x.graph.full([rows, 1], factor), true, false).reshape(shape);
}

/** The axes that are summed at the end of the shape, with those of size 1 among them. */
function trailingAxes(x: Tensor, summed: ReadonlySet<number>): number[] {
  const found: number[] = [];
  for (let axis = x.rank - 1; axis >= 0 && (summed.has(axis) || x.dim(axis) === 1); axis--)
    if (summed.has(axis)) found.unshift(axis);
  return found;
}

/** Softmax over an axis, by greatest, exponential and sum. */
export function exactSoftmax(x: Tensor, axis: number): Tensor {
  const e = x.sub(x.max(axis)).exp();
  return e.div(exactSum(e, [axis]));
}

export function exactLogSoftmax(x: Tensor, axis: number, log: (x: Tensor) => Tensor): Tensor {
  const shifted = x.sub(x.max(axis));
  return shifted.sub(log(exactSum(shifted.exp(), [axis])));
}

/** The logarithm of the sum of exponentials over `axes`, which stay with size 1. */
export function exactLogSumExp(x: Tensor, axes: readonly number[], log: (x: Tensor) => Tensor): Tensor {
  if (axes.length === 0) return log(x.exp());
  const greatest = x.max(...axes);
  return log(exactSum(x.sub(greatest).exp(), axes)).add(greatest);
}
