import { Failure } from "../../src-protocol/failure.ts";
import { axisOf, broadcast, type Shape, sizeOf } from "../shape.ts";
import type { Fold, FoldCall } from "./fold.ts";
import { readTensor } from "./initializer.ts";
import { coordinates, type Known, known, knownIndices, strides } from "./known.ts";
import { checkedShape } from "./limits.ts";
import { piecesOf, reshapedTo, sliceOf, squeezed, unsqueezed } from "./shape-rules.ts";

/** `shape`, each element taken from the element of `x` at the place that `from` gives. */
function taken(
  { budget }: FoldCall,
  x: Known,
  shape: Shape,
  from: (at: readonly number[]) => readonly number[],
): Known {
  budget.take(sizeOf(shape));
  const steps = strides(x.shape);
  const values: number[] = [];
  for (const at of coordinates(shape)) {
    values.push(x.values[from(at).reduce((sum, place, axis) => sum + place * (steps[axis] ?? 0), 0)] ?? 0);
  }
  return known(x.type, shape, values);
}

function withShape(x: Known, shape: Shape): Known[] {
  return [{ ...x, shape }];
}

/** The axes of Squeeze and Unsqueeze: an attribute before operator set 13, then an input. */
function axesOf({ inputs, attributes }: FoldCall): readonly number[] | undefined {
  return inputs[1]?.values ?? attributes.numbers("axes");
}

/** An index that may count from the end. */
function checkedIndex(index: number, size: number): number {
  if (index < -size || index >= size) {
    throw new Failure(
      "bad-shape",
      `The index ${index} is outside of an axis of ${size}. The model does not fit the sizes that were given for it.`,
    );
  }
  return index < 0 ? index + size : index;
}

/** Operators that make shapes, move values, or make values of shapes. */
export const foldShapes: Readonly<Record<string, Fold>> = {
  Identity: ({ at }) => [at(0)],
  Constant: ({ attributes, float, budget }) => {
    const tensor = attributes.tensor("value");
    if (tensor) return [readTensor("a constant", tensor, float, budget)];
    if (attributes.has("value_float")) return [known(float, [], [attributes.number("value_float", 0)])];
    if (attributes.has("value_int")) return [known("int64", [], [attributes.number("value_int", 0)])];
    const ints = attributes.numbers("value_ints");
    if (ints) return [knownIndices(ints)];
    const floats = attributes.numbers("value_floats");
    if (floats) return [known(float, [floats.length], floats)];
    throw new Failure("unsupported-type", "A constant of the model holds a text or a sparse tensor.");
  },
  ConstantOfShape: ({ at, attributes, float, budget }) => {
    const shape = checkedShape("A constant", at(0).values);
    budget.take(sizeOf(shape));
    const tensor = attributes.tensor("value");
    const value = tensor ? readTensor("a constant", tensor, float, budget) : known(float, [1], [0]);
    return [
      known(
        value.type,
        shape,
        Array.from({ length: sizeOf(shape) }, () => value.values[0] ?? 0),
      ),
    ];
  },
  Range: ({ at, budget }) => {
    const [start, limit, step] = [at(0), at(1), at(2)].map(({ values }) => values[0] ?? 0) as [
      number,
      number,
      number,
    ];
    const count = Math.max(0, Math.ceil((limit - start) / step));
    if (Number.isNaN(count)) throw new Failure("bad-shape", "A range of the model has the step 0.");
    budget.take(count);
    return [
      known(
        at(0).type,
        [count],
        Array.from({ length: count }, (_, i) => start + i * step),
      ),
    ];
  },
  Reshape: ({ at, attributes }) =>
    withShape(at(0), reshapedTo(at(0).shape, at(1).values, attributes.number("allowzero", 0) === 1)),
  Flatten: ({ at, attributes }) => {
    const { shape } = at(0);
    const axis = attributes.number("axis", 1);
    const cut = axis === shape.length ? axis : axisOf(axis, shape.length);
    return withShape(at(0), [sizeOf(shape.slice(0, cut)), sizeOf(shape.slice(cut))]);
  },
  Squeeze: (call) => withShape(call.at(0), squeezed(call.at(0).shape, axesOf(call))),
  Unsqueeze: (call) => withShape(call.at(0), unsqueezed(call.at(0).shape, axesOf(call) ?? [])),
  Expand: (call) => {
    const x = call.at(0);
    const shape = broadcast(x.shape, checkedShape("An expanded constant", call.at(1).values));
    const padding = shape.length - x.shape.length;
    return [
      taken(call, x, shape, (at) => at.slice(padding).map((place, i) => (x.shape[i] === 1 ? 0 : place))),
    ];
  },
  Tile: (call) => {
    const x = call.at(0);
    const shape = checkedShape(
      "A repeated constant",
      x.shape.map((size, i) => size * (call.at(1).values[i] ?? 1)),
    );
    return [taken(call, x, shape, (at) => at.map((place, i) => place % (x.shape[i] ?? 1)))];
  },
  Transpose: (call) => {
    const x = call.at(0);
    const perm = (call.attributes.numbers("perm") ?? x.shape.map((_, i) => x.shape.length - 1 - i)).map(
      (axis) => axisOf(axis, x.shape.length),
    );
    const shape = perm.map((axis) => x.shape[axis] ?? 1);
    return [taken(call, x, shape, (at) => x.shape.map((_, axis) => at[perm.indexOf(axis)] ?? 0))];
  },
  Concat: (call) => {
    const parts = call.inputs.map((_, i) => call.at(i));
    const first = call.at(0);
    const axis = axisOf(call.attributes.number("axis", 0), first.shape.length);
    const size = parts.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
    const shape = first.shape.map((old, i) => (i === axis ? size : old));
    call.budget.take(sizeOf(shape));
    const before = sizeOf(shape.slice(0, axis));
    const values: number[] = [];
    for (let row = 0; row < before; row++) {
      for (const part of parts) {
        const length = part.values.length / before;
        for (let i = 0; i < length; i++) values.push(part.values[row * length + i] ?? 0);
      }
    }
    if (values.length !== sizeOf(shape))
      throw new Failure("bad-shape", "Constants of the model that do not fit together are joined.");
    return [known(first.type, shape, values)];
  },
  Split: (call) => {
    const x = call.at(0);
    const axis = axisOf(call.attributes.number("axis", 0), x.shape.length);
    const sizes = piecesOf(
      x.shape[axis] ?? 1,
      call.inputs[1]?.values ?? call.attributes.numbers("split"),
      call.outputs,
    );
    let start = 0;
    return sizes.map((size) => {
      const from = start;
      start += size;
      const shape = x.shape.map((old, i) => (i === axis ? size : old));
      return taken(call, x, shape, (at) => at.map((place, i) => (i === axis ? place + from : place)));
    });
  },
  Slice: (call) => {
    const x = call.at(0);
    const ranges = sliceOf(x.shape, {
      starts: call.inputs[1]?.values ?? call.attributes.numbers("starts") ?? [],
      ends: call.inputs[2]?.values ?? call.attributes.numbers("ends") ?? [],
      axes: call.inputs[3]?.values ?? call.attributes.numbers("axes"),
      steps: call.inputs[4]?.values,
    });
    const shape = ranges.map(({ count }) => count);
    return [
      taken(call, x, shape, (at) =>
        at.map((place, i) => (ranges[i]?.start ?? 0) + place * (ranges[i]?.step ?? 1)),
      ),
    ];
  },
  Gather: (call) => {
    const [x, ids] = [call.at(0), call.at(1)];
    const axis = axisOf(call.attributes.number("axis", 0), x.shape.length);
    const rank = ids.shape.length;
    const shape = [...x.shape.slice(0, axis), ...ids.shape, ...x.shape.slice(axis + 1)];
    const steps = strides(ids.shape);
    const chosen = ids.values.map((id) => checkedIndex(id, x.shape[axis] ?? 0));
    return [
      taken(call, x, shape, (at) => {
        const id = steps.reduce((sum, step, i) => sum + step * (at[axis + i] ?? 0), 0);
        return [...at.slice(0, axis), chosen[id] ?? 0, ...at.slice(axis + rank)];
      }),
    ];
  },
  /** Keeps the upper or lower triangle: causal masks. */
  Trilu: (call) => {
    const x = call.at(0);
    const upper = call.attributes.number("upper", 1) === 1;
    const diagonal = call.inputs[1]?.values[0] ?? 0;
    call.budget.take(x.values.length);
    const values: number[] = [];
    for (const at of coordinates(x.shape)) {
      const distance = (at.at(-1) ?? 0) - (at.at(-2) ?? 0) - diagonal;
      values.push((upper ? distance >= 0 : distance <= 0) ? (x.values[values.length] ?? 0) : 0);
    }
    return [known(x.type, x.shape, values)];
  },
  NonZero: ({ at, budget }) => {
    const x = at(0);
    budget.take(x.values.length * Math.max(x.shape.length, 1));
    const found: number[][] = [];
    let i = 0;
    for (const place of coordinates(x.shape)) if (x.values[i++] !== 0) found.push([...place]);
    return [
      known(
        "int64",
        [x.shape.length, found.length],
        x.shape.flatMap((_, axis) => found.map((place) => place[axis] ?? 0)),
      ),
    ];
  },
};
