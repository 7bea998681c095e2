import { Failure } from "../../src-protocol/failure.ts";
import { composite, text } from "../operator.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { type Equation, parseEquation } from "./einsum-equation.ts";

/** A tensor whose axes have the names that an equation gives them. */
interface Named {
  x: Tensor;
  labels: readonly string[];
}

/** The axes in another order. */
function ordered({ x, labels }: Named, order: readonly string[]): Tensor {
  const perm = order.map((label) => labels.indexOf(label));
  return perm.every((axis, i) => axis === i) ? x : x.transpose(...perm);
}

/** Elements of which two axes have the same position, for every label that occurs twice. */
function withoutRepeats({ x, labels }: Named): Named {
  const axis = labels.findIndex((label, i) => labels.indexOf(label) !== i);
  if (axis < 0) return { x, labels };
  const label = labels[axis] ?? "";
  const first = labels.indexOf(label);
  const others = labels.flatMap((_, i) => (i === first || i === axis ? [] : [i]));
  const size = x.dim(axis);
  if (size !== x.dim(first))
    throw new Failure("bad-shape", `An einsum takes the diagonal of axes of ${x.dim(first)} and ${size}.`);
  const rest = others.map((i) => x.dim(i));
  const square = x.transpose(...others, first, axis).reshape([...rest, size * size]);
  const diagonal = square.take(
    -1,
    Array.from({ length: size }, (_, i) => i * (size + 1)),
  );
  return withoutRepeats({ x: diagonal, labels: [...others.map((i) => labels[i] ?? ""), label] });
}

/** Axes that nothing else needs are summed first. */
function summedTo({ x, labels }: Named, needed: ReadonlySet<string>): Named {
  const gone = labels.flatMap((label, axis) => (needed.has(label) ? [] : [axis]));
  if (gone.length === 0) return { x, labels };
  const kept = labels.filter((label) => needed.has(label));
  return { x: x.sum(...gone).reshape(kept.map((label) => x.dim(labels.indexOf(label)))), labels: kept };
}

/** One product: axes of both that are still needed are a stack, the others of both are summed. */
function multiplied(
  left: Named,
  right: Named,
  needed: ReadonlySet<string>,
  sizes: ReadonlyMap<string, number>,
): Named {
  const size = (names: readonly string[]): number[] => names.map((label) => sizes.get(label) ?? 1);
  const shared = left.labels.filter((label) => right.labels.includes(label));
  const stack = shared.filter((label) => needed.has(label));
  const inner = shared.filter((label) => !needed.has(label));
  const rows = left.labels.filter((label) => !shared.includes(label));
  const columns = right.labels.filter((label) => !shared.includes(label));
  const [m, k, n] = [sizeOf(size(rows)), sizeOf(size(inner)), sizeOf(size(columns))];
  const arranged = (each: Named, order: readonly string[], shape: Shape): Tensor =>
    // An axis of 1 that the other one repeats: only products with all sizes written out are matrices.
    ordered(each, order).expand(size(order)).reshape(shape);
  // Without a stack these are plain matrices, whose gradients are plain products too.
  const outer = stack.length > 0 ? [sizeOf(size(stack))] : [];
  const a = arranged(left, [...stack, ...rows, ...inner], [...outer, m, k]);
  const b = arranged(right, [...stack, ...inner, ...columns], [...outer, k, n]);
  const product = inner.length > 0 ? a.matmul(b) : a.mul(b);
  const labels = [...stack, ...rows, ...columns];
  return { x: product.reshape(size(labels)), labels };
}

function evaluated({ terms, result, sizes }: Equation, inputs: readonly Tensor[]): Tensor {
  const operands = inputs.map((x, i) => withoutRepeats({ x, labels: terms[i] ?? [] }));
  const neededAfter = (i: number): ReadonlySet<string> =>
    new Set([...result, ...operands.slice(i + 1).flatMap(({ labels }) => labels)]);
  const [first, ...others] = operands as [Named, ...Named[]];
  let product = summedTo(first, neededAfter(0));
  for (const [i, operand] of others.entries()) {
    const needed = neededAfter(i + 1);
    const own = summedTo(operand, new Set([...needed, ...product.labels]));
    const before = summedTo(product, new Set([...needed, ...own.labels]));
    product = multiplied(before, own, needed, sizes);
  }
  return ordered(product, result);
}

/** Sums of products of axes with names: Transpose, Reshape and MatMul in one line of letters. */
export const einsum = {
  /** As in NumPy, also with "...", diagonals, and any number of inputs, multiplied from left to right. */
  Einsum: composite({
    inputs: "many",
    attributes: { equation: text("") },
    expand: ({ inputs, attributes: { equation } }) =>
      evaluated(
        parseEquation(
          equation,
          inputs.map(({ shape }) => shape),
        ),
        inputs,
      ),
  }),
};
