import { Failure } from "../src-protocol/failure.ts";

export type Shape = readonly number[];

/** Number of elements: the product of the sizes, 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * The shape of an elementwise result of two shapes by ONNX's (NumPy's) broadcasting.
 *
 * @throws Failure `bad-shape` when they do not fit
 */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const left = a[i - rank + a.length] ?? 1;
    const right = b[i - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new Failure(
        "bad-shape",
        `Shapes [${a}] and [${b}] do not broadcast: axis ${i} has ${left} and ${right}.`,
      );
    }
    return left === 1 ? right : left;
  });
}

/** Axis counted from the front; -1 is the last. */
export function axisOf(axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new Failure("bad-shape", `There is no axis ${axis} in a tensor of rank ${rank}.`);
  }
  return axis < 0 ? axis + rank : axis;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
