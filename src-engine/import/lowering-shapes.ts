import { Failure } from "../../src-protocol/failure.ts";
import { listable } from "../operators/known.ts";
import { axisOf, broadcast, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { elementTypeIn } from "./element-types.ts";
import { checkedShape } from "./limits.ts";
import type { ImportCall, Lowering } from "./import-call.ts";
import { piecesOf, reshapedTo, sliceOf, squeezed, unsqueezed } from "./shape-rules.ts";

function must<T>(value: T | undefined, { op, name }: ImportCall): T {
  if (value !== undefined) return value;
  throw new Failure(
    "bad-model-file",
    `Node ${name} (${op}) lacks an input. The file is damaged: export it again.`,
  );
}

function axesOf(call: ImportCall): readonly number[] | undefined {
  return call.known(1)?.values ?? call.attributes.numbers("axes");
}

/** Applies `act` with `axis` as the first one. */
function withAxisFirst(x: Tensor, axis: number, act: (x: Tensor) => Tensor): Tensor {
  if (axis === 0) return act(x);
  const others = x.shape.map((_, i) => i).filter((i) => i !== axis);
  return act(x.transpose(axis, ...others));
}

/** Rows of `x` along `axis`, chosen by `ids`: `[…before, …ids.shape, …after]`. */
function gather(x: Tensor, ids: Tensor, axis: number): Tensor {
  const before = x.shape.slice(0, axis);
  const after = x.shape.slice(axis + 1);
  const rows = withAxisFirst(x, axis, (front) => {
    const matrix = front.reshape([x.dim(axis), sizeOf([...before, ...after])]);
    return matrix.gather(ids).reshape([...ids.shape, ...before, ...after]);
  });
  if (axis === 0) return rows;
  const places = ids.shape.map((_, i) => i);
  const rest = before.map((_, i) => ids.rank + i);
  const last = after.map((_, i) => ids.rank + before.length + i);
  return rows.transpose(...rest, ...places, ...last);
}

/** The part of `x` along one axis; a Split, whose gradient pads with zeros. */
function part(x: Tensor, axis: number, start: number, count: number): Tensor {
  const size = x.dim(axis);
  if (start === 0 && count === size) return x;
  if (count === 0) throw new Failure("bad-shape", `Nothing is left of axis ${axis} of [${x.shape}].`);
  const sizes = [start, count, size - start - count];
  const pieces = x.split(
    axis,
    sizes.filter((each) => each > 0),
  );
  return pieces[start > 0 ? 1 : 0] as Tensor;
}

function isRun(values: readonly number[]): boolean {
  return values.every((value, i) => value === (values[0] ?? 0) + i);
}

function reshape(x: Tensor, shape: Shape): Tensor[] {
  return [x.reshape(shape)];
}

/** Operators that move values: written with Reshape, Transpose, Split, Concat, Expand and Gather. */
export const lowerShapes: Readonly<Record<string, Lowering>> = {
  Reshape: (call) => {
    const x = call.tensor(0);
    const target = must(call.known(1)?.values ?? call.attributes.numbers("shape"), call);
    return reshape(x, reshapedTo(x.shape, target, call.attributes.number("allowzero", 0) === 1));
  },
  Flatten: ({ tensor, attributes }) => {
    const x = tensor(0);
    const axis = attributes.number("axis", 1);
    const cut = axis === x.rank ? axis : axisOf(axis, x.rank);
    return reshape(x, [sizeOf(x.shape.slice(0, cut)), sizeOf(x.shape.slice(cut))]);
  },
  Squeeze: (call) => reshape(call.tensor(0), squeezed(call.tensor(0).shape, axesOf(call))),
  Unsqueeze: (call) => reshape(call.tensor(0), unsqueezed(call.tensor(0).shape, must(axesOf(call), call))),
  Transpose: ({ tensor, attributes }) => {
    const x = tensor(0);
    const perm = (attributes.numbers("perm") ?? x.shape.map((_, i) => i).reverse()).map((axis) =>
      axisOf(axis, x.rank),
    );
    if (new Set(perm).size !== x.rank || perm.length !== x.rank)
      throw new Failure("bad-shape", `[${x.shape}] cannot be transposed by [${perm}].`);
    return [perm.every((axis, i) => axis === i) ? x : x.transpose(...perm)];
  },
  Expand: (call) => {
    const x = call.tensor(0);
    const target = checkedShape(`The result of ${call.name}`, must(call.known(1), call).values);
    return [x.expand(checkedShape(`The result of ${call.name}`, broadcast(x.shape, target)))];
  },
  Concat: ({ tensor, inputs, attributes, name }) => {
    const [first, ...others] = Array.from({ length: inputs }, (_, i) => tensor(i)) as [Tensor, ...Tensor[]];
    const axis = axisOf(attributes.number("axis", 1), first.rank);
    const fits = others.every(
      ({ type, shape }) =>
        type === first.type &&
        shape.length === first.rank &&
        shape.every((size, i) => i === axis || size === first.shape[i]),
    );
    if (!fits)
      throw new Failure(
        "bad-shape",
        `Node ${name} joins tensors that do not fit together along axis ${axis}.`,
      );
    // An empty cache in front of what is computed: nothing is left of it.
    const [some, ...rest] = [first, ...others].filter(({ shape }) => shape[axis] !== 0);
    if (some === undefined) return [first];
    return [rest.length === 0 ? some : some.concat(rest, axis)];
  },
  Split: (call) => {
    const x = call.tensor(0);
    const axis = axisOf(call.attributes.number("axis", 0), x.rank);
    const given = call.known(1)?.values ?? call.attributes.numbers("split");
    return x.split(axis, piecesOf(x.dim(axis), given, call.outputs));
  },
  Slice: (call) => {
    const x = call.tensor(0);
    const { attributes, known } = call;
    const ranges = sliceOf(x.shape, {
      starts: must(known(1)?.values ?? attributes.numbers("starts"), call),
      ends: must(known(2)?.values ?? attributes.numbers("ends"), call),
      axes: known(3)?.values ?? attributes.numbers("axes"),
      steps: known(4)?.values,
    });
    return [
      ranges.reduce((piece, { start, count, step }, axis) => {
        if (step === 1 || count === 1) return part(piece, axis, start, count);
        listable(`The slice ${call.name}`, count);
        const ids = Array.from({ length: count }, (_, i) => start + i * step);
        return gather(piece, piece.graph.indices(ids), axis);
      }, x),
    ];
  },
  Gather: (call) => {
    const x = call.tensor(0);
    const axis = axisOf(call.attributes.number("axis", 0), x.rank);
    const size = x.dim(axis);
    const ids = call.tensor(1);
    const chosen = ids.value?.map((id) => (id < 0 ? id + size : id));
    if (!chosen) return [gather(x, ids, axis)];
    if (chosen.some((id) => id < 0 || id >= size))
      throw new Failure("bad-shape", `Node ${call.name} chooses rows outside of an axis of ${size}.`);
    // Neighbours are a part: no product with a one-hot matrix in the gradient.
    if (chosen.length > 0 && isRun(chosen)) {
      const rows = part(x, axis, chosen[0] ?? 0, chosen.length);
      return reshape(rows, [...x.shape.slice(0, axis), ...ids.shape, ...x.shape.slice(axis + 1)]);
    }
    return [gather(x, call.graph.constant("int64", ids.shape, chosen), axis)];
  },
  Cast: ({ tensor, attributes, graph }) => [
    tensor(0).cast(elementTypeIn(attributes.number("to", 1), graph.float)),
  ],
  CastLike: ({ tensor }) => [tensor(0).cast(tensor(1).type)],
};
