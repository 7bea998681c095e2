import { Failure } from "../../src-protocol/failure.ts";
import { axisOf, type Shape, sizeOf } from "../shape.ts";
import { checkedShape } from "./limits.ts";

/** How ONNX states shapes, axes and ranges, resolved to plain sizes: for folding and for nodes alike. */

/** The target of a Reshape: 0 keeps a size, one -1 takes what is left. */
export function reshapedTo(shape: Shape, target: readonly number[], allowZero: boolean): number[] {
  const sizes = target.map((size, i) => (size === 0 && !allowZero ? (shape[i] ?? 0) : size));
  const open = sizes.indexOf(-1);
  const others = sizes.reduce((product, size, i) => (i === open ? product : product * size), 1);
  if (open >= 0) sizes[open] = others === 0 ? 0 : sizeOf(shape) / others;
  if (!sizes.every((size) => Number.isSafeInteger(size) && size >= 0) || sizeOf(sizes) !== sizeOf(shape)) {
    throw new Failure(
      "bad-shape",
      `[${shape}] cannot be reshaped to [${target}]. The model does not fit the sizes that were given for it.`,
    );
  }
  return checkedShape("A reshaped tensor", sizes);
}

/** Without `axes`: all of size 1. */
export function squeezed(shape: Shape, axes: readonly number[] | undefined): Shape {
  const gone = new Set(axes?.map((axis) => axisOf(axis, shape.length)));
  for (const axis of gone) {
    if (shape[axis] !== 1) throw new Failure("bad-shape", `Axis ${axis} of [${shape}] is not of size 1.`);
  }
  return shape.filter((size, axis) => (axes ? !gone.has(axis) : size !== 1));
}

export function unsqueezed(shape: Shape, axes: readonly number[]): Shape {
  const rank = shape.length + axes.length;
  checkedShape(
    "An unsqueezed tensor",
    Array.from({ length: rank }, () => 1),
  );
  const added = new Set(axes.map((axis) => axisOf(axis, rank)));
  const sizes = [...shape];
  return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (sizes.shift() ?? 1)));
}

/** The sizes of the pieces of a Split: as given, else equal, the last one smaller. */
export function piecesOf(
  size: number,
  given: readonly number[] | undefined,
  count: number,
): readonly number[] {
  const piece = Math.ceil(size / Math.max(count, 1));
  const sizes = given ?? Array.from({ length: count }, (_, i) => Math.min(piece, size - i * piece));
  if (
    !sizes.every((each) => each >= 0) ||
    sizes.reduce((a, b) => a + b, 0) !== size ||
    sizes.length !== count
  ) {
    throw new Failure("bad-shape", `An axis of ${size} cannot be split into ${count} pieces of [${sizes}].`);
  }
  return sizes;
}

export interface AxisRange {
  start: number;
  count: number;
  step: number;
}

/** One range for every axis. Starts and ends count from the end when negative, and are clamped. */
export function sliceOf(
  shape: Shape,
  {
    starts,
    ends,
    axes,
    steps,
  }: {
    starts: readonly number[];
    ends: readonly number[];
    axes: readonly number[] | undefined;
    steps: readonly number[] | undefined;
  },
): AxisRange[] {
  const ranges = shape.map((size) => ({ start: 0, count: size, step: 1 }));
  for (const [i, from] of starts.entries()) {
    const axis = axisOf(axes?.[i] ?? i, shape.length);
    const size = shape[axis] ?? 0;
    const step = steps?.[i] ?? 1;
    const to = ends[i];
    if (step === 0 || to === undefined)
      throw new Failure("bad-shape", `A slice of [${shape}] has no end, or the step 0.`);
    const place = (at: number): number => (at < 0 ? at + size : at);
    const clamp = (at: number, low: number, high: number): number => Math.min(Math.max(at, low), high);
    const start = step > 0 ? clamp(place(from), 0, size) : clamp(place(from), 0, size - 1);
    const end = step > 0 ? clamp(place(to), 0, size) : clamp(place(to), -1, size - 1);
    ranges[axis] = { start, step, count: Math.max(0, Math.ceil((end - start) / step)) };
  }
  return ranges;
}
