import { Failure } from "../../src-protocol/failure.ts";
import { int, ints, primitive } from "../operator.ts";
import { axisOf, broadcast, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { known } from "./known.ts";
import { withSize } from "./selection.ts";

/** A shape in which 0 may stand for the old size and -1 for what is left. */
function resolved(x: Tensor, target: Shape, allowZero: boolean): Shape {
  const sizes = target.map((size, i) => (size === 0 && !allowZero ? x.dim(i) : size));
  const rest = sizes.indexOf(-1);
  const shape = rest < 0 ? sizes : sizes.with(rest, sizeOf(x.shape) / -sizeOf(sizes));
  if (sizeOf(shape) === sizeOf(x.shape) && shape.every(Number.isInteger)) return shape;
  throw new Failure("bad-shape", `[${x.shape}] cannot be reshaped to [${target}].`);
}

/** Operators that keep all values, in another order or shape. Shapes are constant inputs. */
export const reshaping = {
  Reshape: primitive({
    inputs: 2,
    attributes: { allowzero: int(0) },
    infer: ({ inputs: [x, shape], attributes: { allowzero } }) => [
      { type: x.type, shape: resolved(x, known(shape), allowzero === 1) },
    ],
    gradient: ({ inputs: [x], dy }) => [() => dy.reshape(x.shape), null],
  }),
  /** As a matrix: what is before `axis` by what is from it on. */
  Flatten: primitive({
    inputs: 1,
    attributes: { axis: int(1) },
    infer: ({ inputs: [x], attributes: { axis } }) => {
      const cut = axis === x.rank ? axis : axisOf(axis, x.rank);
      return [{ type: x.type, shape: [sizeOf(x.shape.slice(0, cut)), sizeOf(x.shape.slice(cut))] }];
    },
    gradient: ({ inputs: [x], dy }) => [() => dy.reshape(x.shape)],
  }),
  /** Drops axes of size 1: those named, or all. */
  Squeeze: primitive({
    inputs: "1-2",
    infer: ({ inputs: [x, axes] }) => {
      const dropped = axes ? known(axes).map((axis) => axisOf(axis, x.rank)) : undefined;
      if (dropped?.some((axis) => x.dim(axis) !== 1)) {
        throw new Failure("bad-shape", `Squeeze of [${x.shape}] names an axis that is larger than 1.`);
      }
      const isDropped = (axis: number): boolean => (dropped ? dropped.includes(axis) : x.dim(axis) === 1);
      return [{ type: x.type, shape: x.shape.filter((_, axis) => !isDropped(axis)) }];
    },
    gradient: ({ inputs: [x], dy }) => [() => dy.reshape(x.shape), null],
  }),
  /** Puts axes of size 1 where `axes` says, counted in the result. */
  Unsqueeze: primitive({
    inputs: 2,
    infer: ({ inputs: [x, axes] }) => {
      const rank = x.rank + known(axes).length;
      const added = new Set(known(axes).map((axis) => axisOf(axis, rank)));
      const old = x.shape.values();
      const shape = Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (old.next().value ?? 1)));
      return [{ type: x.type, shape }];
    },
    gradient: ({ inputs: [x], dy }) => [() => dy.reshape(x.shape), null],
  }),
  Expand: primitive({
    inputs: 2,
    infer: ({ inputs: [x, shape] }) => [{ type: x.type, shape: broadcast(x.shape, known(shape)) }],
    gradient: ({ dy }) => [() => dy, null],
  }),
  /** Without `perm`, all axes in reverse. */
  Transpose: primitive({
    inputs: 1,
    attributes: { perm: ints() },
    infer: ({ inputs: [x], attributes: { perm } }) => [
      {
        type: x.type,
        shape: perm.length > 0 ? perm.map((axis) => x.dim(axis)) : x.shape.toReversed(),
      },
    ],
    gradient: ({ inputs: [x], attributes: { perm }, dy }) => {
      const order = perm.length > 0 ? perm : x.shape.map((_, axis) => x.rank - 1 - axis);
      return [() => dy.transpose(...order.map((_, axis) => order.indexOf(axis)))];
    },
  }),
  Split: primitive({
    inputs: 2,
    attributes: { axis: int(0) },
    infer: ({ inputs: [x, sizes], attributes: { axis } }) => {
      if (known(sizes).reduce((a, b) => a + b, 0) !== x.dim(axis)) {
        throw new Failure(
          "bad-shape",
          `Axis ${axis} of [${x.shape}] cannot be split into [${known(sizes)}].`,
        );
      }
      return known(sizes).map((size) => ({ type: x.type, shape: withSize(x.shape, axis, size) }));
    },
    gradient: ({ attributes: { axis }, outputs, gradients }) => [
      () => {
        const parts = outputs.map(({ graph, shape }, i) => gradients[i] ?? graph.full([], 0).expand(shape));
        return outputs.length === 1 ? (parts[0] as Tensor) : concat(parts, axis);
      },
      null,
    ],
  }),
  Concat: primitive({
    inputs: "many",
    attributes: { axis: int(0) },
    infer: ({ inputs, attributes: { axis } }) => {
      const [first] = inputs as [Tensor];
      const size = inputs.reduce((sum, input) => sum + input.dim(axis), 0);
      return [{ type: first.type, shape: withSize(first.shape, axis, size) }];
    },
    gradient: ({ inputs, attributes: { axis }, dy }) => {
      const sizes = inputs.map((input) => input.dim(axis));
      return inputs.map((_, i) => () => dy.split(axis, sizes)[i] as Tensor);
    },
  }),
};

function concat([first, ...others]: readonly Tensor[], axis: number): Tensor {
  return (first as Tensor).concat(others, axis);
}
