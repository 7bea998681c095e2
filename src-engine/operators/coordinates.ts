import { Failure } from "../../src-protocol/failure.ts";
import { composite, int, text } from "../operator.ts";
import { sameShape, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { listable } from "./known.ts";

function misfit(what: string, x: Tensor, ids: Tensor): Failure {
  return new Failure(
    "bad-shape",
    `${what} of [${x.shape}] at coordinates [${ids.shape}] does not fit together.`,
  );
}

/**
 * The row of each coordinate, [n]: `ids` [..., k] name positions of axes of `sizes` [k], from either
 * end; rows are numbered in row-major order, and those of each part of a stack after one another.
 */
function rowsAt(ids: Tensor, sizes: Shape, stack = 1): Tensor {
  const { graph, type } = ids;
  const steps = sizes.map((_, i) => sizeOf(sizes.slice(i + 1)));
  const count = sizeOf(ids.shape.slice(0, -1));
  const each = count / stack;
  if (ids.value) {
    const rows = Array.from({ length: count }, (_, row) =>
      sizes.reduce(
        (sum, size, k) => {
          const id = ids.value?.[row * sizes.length + k] ?? 0;
          if (id < -size || id >= size)
            throw new Failure("bad-shape", `The coordinate ${id} is outside of an axis of ${size}.`);
          return sum + (id < 0 ? id + size : id) * (steps[k] ?? 1);
        },
        Math.floor(row / each) * sizeOf(sizes),
      ),
    );
    return graph.constant(type, [count], rows);
  }
  const list = (values: readonly number[]): Tensor => graph.constant(type, [values.length], values);
  const rows = ids
    .less(0)
    .where(ids.add(list(sizes)), ids)
    .mul(list(steps))
    .sum(-1);
  listable("A stack of coordinates", stack);
  const starts = Array.from({ length: stack }, (_, i) => i * sizeOf(sizes));
  return rows
    .reshape([stack, each])
    .add(list(starts).reshape([stack, 1]))
    .reshape([count]);
}

/** Elements and slices at coordinates that the model gives: rows of a table, with the coordinates as one number. */
export const coordinates = {
  /** `x[ids[…]]` for each of `batch_dims` leading positions: […ids without its last axis, …rest of x]. */
  GatherND: composite({
    inputs: 2,
    attributes: { batch_dims: int(0) },
    expand: ({ inputs: [x, ids], attributes: { batch_dims: batch } }): Tensor => {
      const depth = ids.rank > 0 ? ids.dim(-1) : 0;
      const stack = x.shape.slice(0, batch);
      const fits = batch >= 0 && batch < ids.rank && depth >= 1 && batch + depth <= x.rank;
      if (!fits || !sameShape(stack, ids.shape.slice(0, batch))) throw misfit("GatherND", x, ids);
      const sizes = x.shape.slice(batch, batch + depth);
      const rest = x.shape.slice(batch + depth);
      const places = ids.shape.slice(batch, -1);
      return x
        .reshape([sizeOf(stack) * sizeOf(sizes), sizeOf(rest)])
        .gather(rowsAt(ids, sizes, sizeOf(stack)))
        .reshape([...stack, ...places, ...rest]);
    },
  }),
  /** `x` with slices put, or added, at coordinates. Put: each place at most once. */
  ScatterND: composite({
    inputs: 3,
    attributes: { reduction: text("none") },
    expand: ({ inputs: [x, ids, updates], attributes: { reduction } }): Tensor => {
      const depth = ids.rank > 0 ? ids.dim(-1) : 0;
      if (depth < 1 || depth > x.rank) throw misfit("ScatterND", x, ids);
      const [sizes, rest, places] = [x.shape.slice(0, depth), x.shape.slice(depth), ids.shape.slice(0, -1)];
      if (!sameShape(updates.shape, [...places, ...rest])) throw misfit("ScatterND", updates, ids);
      const [count, width] = [sizeOf(places), sizeOf(rest)];
      const everywhere = rowsAt(ids, sizes).reshape([count, 1]).expand([count, width]);
      const rows = x.reshape([sizeOf(sizes), width]);
      return x.graph
        .apply("ScatterElements", [rows, everywhere, updates.reshape([count, width])], { axis: 0, reduction })
        .reshape(x.shape);
    },
  }),
};
