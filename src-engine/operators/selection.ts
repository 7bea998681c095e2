import { Failure } from "../../src-protocol/failure.ts";
import { type Call, int, primitive, type Pull, text } from "../operator.ts";
import { axisOf, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { known, listable } from "./known.ts";

/**
 * Which positions of an axis of `x` are added up in each position of the result; none: 0. Slices,
 * paddings, windows and their gradients are all of this form: the gradient of a choice of positions
 * is the sum over the places where each was chosen.
 */
type Sources = readonly (readonly number[])[];

/** Where each of `size` positions occurs in `positions`; -1 there stands for no position. */
function placesOf(positions: readonly number[], size: number): number[][] {
  listable("A choice of positions", size);
  const places = Array.from({ length: size }, (): number[] => []);
  for (const [place, position] of positions.entries()) places[position]?.push(place);
  return places;
}

/**
 * Sums of positions along an axis, as few nodes: Slice and Pad where neighbours stay neighbours,
 * else one Gather (from `x` with a slab of zeros behind it) and one sum. Exact, and the same on every
 * provider, as nothing is added by atomic operations.
 */
export function sumsOf(x: Tensor, axis: number, sources: Sources): Tensor {
  const most = Math.max(1, ...sources.map(({ length }) => length));
  const size = x.dim(axis);
  const run = most === 1 ? runOf(sources, size) : undefined;
  if (run) return x.slice(axis, run.start, run.end).pad(axis, run.before, run.after);
  const front = axisOf(axis, x.rank);
  const isFull = sources.every(({ length }) => length === most);
  const zeros = x.graph.constant(x.type, [], [0]).expand(withSize(x.shape, axis, 1));
  const table = sources.flatMap((list) => Array.from({ length: most }, (_, i) => list[i] ?? size));
  const terms = (isFull ? x : x.concat([zeros], axis)).take(axis, table);
  if (most === 1) return terms;
  const apart = [...x.shape.slice(0, front), sources.length, most, ...x.shape.slice(front + 1)];
  return terms
    .reshape(apart)
    .sum(front + 1)
    .reshape(withSize(x.shape, axis, sources.length));
}

/** The gradient of a choice of `positions` (-1: a constant) along an axis of `size`. */
export function scattered(dy: Tensor, axis: number, positions: readonly number[], size: number): Tensor {
  return sumsOf(dy, axis, placesOf(positions, size));
}

/** Zeros, then neighbours, then zeros? */
function runOf(
  sources: Sources,
  size: number,
): { start: number; end: number; before: number; after: number } | undefined {
  const before = sources.findIndex(({ length }) => length > 0);
  const after = sources.findLastIndex(({ length }) => length > 0);
  const start = sources[before]?.[0];
  const end = sources[after]?.[0];
  if (start === undefined || end === undefined || end >= size) return undefined;
  const isRun = sources.slice(before, after + 1).every((list, i) => list[0] === start + i);
  return isRun ? { start, end: end + 1, before, after: sources.length - 1 - after } : undefined;
}

export function withSize(shape: Shape, axis: number, size: number): Shape {
  return shape.map((old, i) => (i === axisOf(axis, shape.length) ? size : old));
}

/** A Slice, resolved: for each axis that it names, the chosen positions. */
function chosen({ inputs: [x, starts, ends, axes, steps] }: Call<"3-5">): Map<number, number[]> {
  const named = axes ? known(axes) : known(starts).map((_, i) => i);
  return new Map(
    named.map((given, i) => {
      const axis = axisOf(given, x.rank);
      const step = steps ? (known(steps)[i] ?? 1) : 1;
      if (step === 0) throw new Failure("bad-shape", "A Slice has the step 0, which would never end.");
      const size = x.dim(axis);
      const bound = (at = 0): number => {
        const front = at < 0 ? at + size : at;
        return step > 0 ? Math.min(Math.max(front, 0), size) : Math.min(Math.max(front, -1), size - 1);
      };
      const [start, end] = [bound(known(starts)[i]), bound(known(ends)[i])];
      const count = Math.max(0, Math.ceil((end - start) / step));
      listable("A Slice", count);
      return [axis, Array.from({ length: count }, (_, k) => start + k * step)];
    }),
  );
}

/** Where each position of a padded axis comes from; -1: a constant. */
function paddedFrom(mode: string, size: number, before: number, after: number): number[] {
  return Array.from({ length: before + size + after }, (_, i) => {
    const at = i - before;
    if (at >= 0 && at < size) return at;
    if (mode === "edge") return at < 0 ? 0 : size - 1;
    if (mode === "wrap") return ((at % size) + size) % size;
    if (mode !== "reflect") return -1;
    const period = Math.max(1, 2 * (size - 1));
    const phase = ((at % period) + period) % period;
    return phase < size ? phase : period - phase;
  });
}

/** A Pad, resolved: what is added before and after each axis. */
function amounts({
  inputs: [x, pads, , axes],
}: Pick<Call<"2-4">, "inputs">): [before: number, after: number][] {
  const named = axes ? known(axes).map((axis) => axisOf(axis, x.rank)) : [...x.shape.keys()];
  return x.shape.map((_, axis) => {
    const i = named.indexOf(axis);
    return i < 0 ? [0, 0] : [known(pads)[i] ?? 0, known(pads)[named.length + i] ?? 0];
  });
}

/** Operators that choose or repeat positions. What is chosen is a constant. */
export const selection = {
  /** The upper or lower triangle of matrices, from the k-th diagonal on; zeros elsewhere. */
  Trilu: primitive({
    inputs: "1-2",
    attributes: { upper: int(1) },
    infer: ({ inputs: [x] }) => [x],
    gradient: ({ inputs: [, ...k], attributes, dy }): readonly Pull[] => [
      () => dy.graph.apply("Trilu", [dy, ...k.filter((each) => each !== undefined)], attributes),
      null,
    ],
  }),
  /** Sums up to each position of an axis, or (exclusive) before it, from the front or (reverse) the end. */
  CumSum: primitive({
    inputs: 2,
    attributes: { exclusive: int(0), reverse: int(0) },
    infer: ({ inputs: [x, axis] }) => {
      if (axis.value) axisOf(axis.value[0] ?? 0, x.rank);
      return [x];
    },
    gradient: ({ inputs: [, axis], attributes: { exclusive, reverse }, dy }): readonly Pull[] => [
      () => dy.graph.apply("CumSum", [dy, axis], { exclusive, reverse: 1 - reverse }),
      null,
    ],
  }),
  /** Of any start, end and step, also negative ones. */
  Slice: primitive({
    inputs: "3-5",
    infer: (call) => {
      const [x] = call.inputs;
      const positions = chosen(call);
      return [{ type: x.type, shape: x.shape.map((size, axis) => positions.get(axis)?.length ?? size) }];
    },
    gradient: (call) => [
      () =>
        [...chosen(call)].reduce(
          (dx, [axis, positions]) => scattered(dx, axis, positions, call.inputs[0].dim(axis)),
          call.dy,
        ),
      null,
      null,
    ],
  }),
  /** In all modes; a negative padding cuts. */
  Pad: primitive({
    inputs: "2-4",
    attributes: { mode: text("constant") },
    infer: (call) => {
      const [x] = call.inputs;
      const shape = amounts(call).map(([before, after], axis) => x.dim(axis) + before + after);
      if (shape.some((size) => size < 0)) {
        throw new Failure("bad-shape", `A Pad cuts more from [${x.shape}] than there is.`);
      }
      return [{ type: x.type, shape }];
    },
    gradient: (call) => [
      () =>
        amounts(call).reduce((dx, [before, after], axis) => {
          const size = call.inputs[0].dim(axis);
          return scattered(dx, axis, paddedFrom(call.attributes.mode, size, before, after), size);
        }, call.dy),
      null,
    ],
  }),
  Tile: primitive({
    inputs: 2,
    infer: ({ inputs: [x, repeats] }) => {
      const times = known(repeats);
      if (times.length !== x.rank)
        throw new Failure("bad-shape", `[${x.shape}] cannot be repeated [${times}] times.`);
      return [{ type: x.type, shape: x.shape.map((size, i) => size * (times[i] ?? 1)) }];
    },
    gradient: ({ inputs: [x, repeats], dy }) => [
      () => {
        const apart = x.shape.flatMap((size, i) => [known(repeats)[i] ?? 1, size]);
        return dy
          .reshape(apart)
          .sum(...x.shape.map((_, i) => 2 * i))
          .reshape(x.shape);
      },
      null,
    ],
  }),
};
