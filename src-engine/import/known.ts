import type { ElementType } from "../element-type.ts";
import { type Shape, sizeOf } from "../shape.ts";

/** A value that is known while importing: it depends on no input and no parameter. */
export interface Known {
  readonly type: ElementType;
  readonly shape: Shape;
  readonly values: readonly number[];
}

/** Beyond this, whole numbers are not exact. Exporters write 2^63 - 1 for "to the end". */
const FURTHEST = Number.MAX_SAFE_INTEGER;

/** The number as an element of `type`: rounded, cut to whole, kept in range. */
export function asElement(type: ElementType, value: number): number {
  switch (type) {
    case "float32":
      return Math.fround(value);
    case "float64":
      return value;
    case "bool":
      return value === 0 ? 0 : 1;
    case "int32":
      return Number.isNaN(value) ? 0 : Math.trunc(Math.min(Math.max(value, -(2 ** 31)), 2 ** 31 - 1));
    case "int64":
      return Number.isNaN(value) ? 0 : Math.trunc(Math.min(Math.max(value, -FURTHEST), FURTHEST));
  }
}

export function known(type: ElementType, shape: Shape, values: readonly number[]): Known {
  return { type, shape, values: values.map((value) => asElement(type, value)) };
}

export function knownIndices(values: readonly number[]): Known {
  return known("int64", [values.length], values);
}

/** Row-major steps: how far apart neighbours along each axis are. */
export function strides(shape: Shape): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/**
 * For each element of `shape`, its coordinates. The array is reused: read it before the next step.
 */
export function* coordinates(shape: Shape): Generator<readonly number[]> {
  const at = shape.map(() => 0);
  const count = sizeOf(shape);
  for (let i = 0; i < count; i++) {
    yield at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (shape[axis] ?? 0)) break;
      at[axis] = 0;
    }
  }
}

/** The index in `source` of the element that broadcasting puts at `at` of a result. */
export function broadcastIndex(source: Shape, steps: readonly number[], at: readonly number[]): number {
  const padding = at.length - source.length;
  let index = 0;
  for (let axis = 0; axis < source.length; axis++) {
    if (source[axis] !== 1) index += (at[axis + padding] ?? 0) * (steps[axis] ?? 0);
  }
  return index;
}
