import { Failure } from "../../src-protocol/failure.ts";
import { composite, int, primitive, type Pull, text } from "../operator.ts";
import { axisOf, sameShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { known, LARGEST_LISTED, listable } from "./known.ts";
import { scattered } from "./selection.ts";

/**
 * `[n, classes]`: 1 where the column is the row's class `ids[n]`, else 0. Comparison and cast, not
 * OneHot: they run on every execution provider and in every type.
 */
export function oneHot(ids: Tensor, classes: number): Tensor {
  const { graph } = ids;
  const columns = graph.constant(
    ids.type,
    [1, classes],
    Array.from({ length: classes }, (_, i) => i),
  );
  return ids
    .reshape([sizeOf(ids.shape), 1])
    .equal(columns)
    .cast(graph.float);
}

/**
 * Up to here a table's gradient is a product with the one-hot matrix: one fast Gemm that adds onto
 * other gradients and gives the same bits each time. Above, the one-hot matrix [n, rows] and its
 * 2·n·rows·width operations would outgrow the model: rows are added by ScatterElements.
 */
const ONE_HOT_ROWS = 1024;

/** The gradient of a table [rows, width] of which rows `ids` [n] were taken, onto `plus`. */
function tableGradient(dy: Tensor, ids: Tensor, rows: number, plus: Tensor | undefined): Tensor {
  const { graph } = dy;
  const [n, width] = [dy.dim(0), dy.dim(1)];
  if (rows <= ONE_HOT_ROWS) {
    // A negative id counts from the end.
    const front = ids.value
      ? graph.constant(
          ids.type,
          ids.shape,
          ids.value.map((id) => (id < 0 ? id + rows : id)),
        )
      : ids.less(0).where(ids.add(rows), ids);
    return oneHot(front, rows).gemm(dy, { transA: true, plus });
  }
  const everywhere = ids.reshape([n, 1]).expand([n, width]);
  const zeros = graph.full([], 0).expand([rows, width]);
  return graph.apply("ScatterElements", [plus ?? zeros, everywhere, dy], { axis: 0, reduction: "add" });
}

/** Constant ids that choose each position about once are a choice, like a Slice. */
function isChoice(ids: readonly number[], size: number): boolean {
  const uses = new Map<number, number>();
  for (const id of ids) uses.set(id, (uses.get(id) ?? 0) + 1);
  return Math.max(0, ...uses.values()) * size <= 2 * Math.max(size, ids.length);
}

/**
 * The axis along which `ids` name single elements of `x`; on the others they lie within it.
 *
 * @throws Failure `bad-shape` when they do not
 */
function axisOfElements(x: Tensor, ids: Tensor, axis: number): number {
  const at = axisOf(axis, x.rank);
  const size = x.dim(at);
  if (ids.rank !== x.rank || ids.shape.some((n, i) => i !== at && n > x.dim(i)))
    throw new Failure("bad-shape", `Elements of [${x.shape}] are chosen by places of shape [${ids.shape}].`);
  const outside = ids.value?.find((id) => id < -size || id >= size);
  if (outside !== undefined)
    throw new Failure("bad-shape", `The place ${outside} is outside of an axis of ${size}.`);
  return at;
}

export const lookup = {
  /** Positions of an axis: `[…before, …ids.shape, …after]`. */
  Gather: primitive({
    inputs: 2,
    attributes: { axis: int(0) },
    infer: ({ inputs: [x, ids], attributes: { axis } }) => {
      const at = axisOf(axis, x.rank);
      return [{ type: x.type, shape: [...x.shape.slice(0, at), ...ids.shape, ...x.shape.slice(at + 1)] }];
    },
    gradient: ({ inputs: [x, ids], attributes: { axis }, dy }) => {
      const at = axisOf(axis, x.rank);
      const [before, size, after] = [x.shape.slice(0, at), x.dim(at), x.shape.slice(at + 1)];
      const n = sizeOf(ids.shape);
      const positions = ids.value?.map((id) => (id < 0 ? id + size : id));
      if (positions && size <= LARGEST_LISTED && isChoice(positions, size)) {
        return [() => scattered(dy.reshape([...before, n, ...after]), at, positions, size), null];
      }
      const width = sizeOf(before) * sizeOf(after);
      if (at === 0) {
        const rows = (plus: Tensor | undefined): Tensor =>
          tableGradient(dy.reshape([n, width]), ids.reshape([n]), size, plus?.reshape([size, width]));
        return [{ onto: (plus) => rows(plus).reshape(x.shape) }, null];
      }
      // With the chosen axis in front it is a table; and back.
      return [
        () => {
          const rows = dy
            .reshape([sizeOf(before), n, sizeOf(after)])
            .transpose(1, 0, 2)
            .reshape([n, width]);
          return tableGradient(rows, ids.reshape([n]), size, undefined)
            .reshape([size, sizeOf(before), sizeOf(after)])
            .transpose(1, 0, 2)
            .reshape(x.shape);
        },
        null,
      ];
    },
  }),
  /** `values` [off, on]: on where the new axis of `depth` positions is the id, off elsewhere. */
  OneHot: composite({
    inputs: 3,
    attributes: { axis: int(-1) },
    expand: ({ inputs: [ids, depth, values], attributes: { axis } }) => {
      const { graph, type } = ids;
      const [classes = 0] = known(depth);
      if (!(classes >= 1) || sizeOf(depth.shape) !== 1 || values.rank !== 1 || values.dim(0) !== 2)
        throw new Failure(
          "bad-shape",
          `A OneHot of ${classes} classes with values of shape [${values.shape}].`,
        );
      listable("A OneHot", classes);
      const at = axisOf(axis, ids.rank + 1);
      const shape = [...ids.shape.slice(0, at), 1, ...ids.shape.slice(at)];
      const positions = Array.from({ length: classes }, (_, i) => i);
      const row = graph.constant(type, [classes, ...ids.shape.slice(at).map(() => 1)], positions);
      const isOn = ids.less(0).where(ids.add(classes), ids).reshape(shape).equal(row);
      const [off, on] = values.split(0, [1, 1]) as [Tensor, Tensor];
      return isOn.where(on.reshape([]), off.reshape([]));
    },
  }),
  /** One element of an axis for each id. */
  GatherElements: primitive({
    inputs: 2,
    attributes: { axis: int(0) },
    infer: ({ inputs: [x, ids], attributes: { axis } }) => {
      axisOfElements(x, ids, axis);
      return [{ type: x.type, shape: ids.shape }];
    },
    gradient: ({ inputs: [x, ids], attributes: { axis }, dy }) => [
      {
        onto: (plus): Tensor => {
          const zeros = dy.graph.full([], 0).expand(x.shape);
          return dy.graph.apply("ScatterElements", [plus ?? zeros, ids, dy], { axis, reduction: "add" });
        },
      },
      null,
    ],
  }),
  /** `x` with `updates` put, or added, at the ids of an axis. Put: each place at most once. */
  ScatterElements: primitive({
    inputs: 3,
    attributes: { axis: int(0), reduction: text("none") },
    infer: ({ inputs: [x, ids, updates], attributes: { axis } }) => {
      axisOfElements(x, ids, axis);
      if (!sameShape(ids.shape, updates.shape))
        throw new Failure("bad-shape", `[${updates.shape}] is put at places of shape [${ids.shape}].`);
      return [x];
    },
    gradient: ({ inputs: [, ids, updates], attributes: { axis, reduction }, dy }): readonly Pull[] | null => {
      if (reduction !== "none" && reduction !== "add") return null;
      const zeros = (): Tensor => dy.graph.full([], 0).expand(updates.shape);
      return [
        () => (reduction === "add" ? dy : dy.graph.apply("ScatterElements", [dy, ids, zeros()], { axis })),
        null,
        () => dy.graph.apply("GatherElements", [dy, ids], { axis }),
      ];
    },
  }),
};
