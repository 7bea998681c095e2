import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { MOST_PARTS, sumBlock } from "./sum-order.ts";

/** The inner size up to which every kernel takes a sum in one go. */
const BLOCK = 128;
/** Rows for which dividing a product by rows still pays: every part lays the right factor out anew. */
const FEWEST_ROWS = 64;

/** `a · b` of matrices or stacks of them, the same bits on every computer and any number of threads. */
export function exactMatmul(a: Tensor, b: Tensor): Tensor {
  const [m, k, n] = [a.dim(-2), a.dim(-1), b.dim(-1)];
  if (n === 1) return firstColumn(exactMatmul(a, twoColumns(b)));
  if (a.rank === 2 && b.rank === 2) return exactProduct(a, b, false, false);
  if (b.rank === 2) return exactProduct(a.rows(), b, false, false).reshape([...a.shape.slice(0, -1), n]);
  if (m === 1) {
    if (k > BLOCK) return exactMatmul(b.transposed(), a.transposed()).transposed();
    return firstRow(exactMatmul(a.expand([...a.shape.slice(0, -2), 2, k]), b));
  }
  const stack = Math.max(sizeOf(a.shape.slice(0, -2)), sizeOf(b.shape.slice(0, -2)));
  if (isFixed(stack, m, n, k)) return a.matmul(b);
  return n > m ? inBlocks(a, b) : withMoreRows(a, b);
}

/** `op(a) · op(b)` of two matrices. */
export function exactProduct(a: Tensor, b: Tensor, transA: boolean, transB: boolean): Tensor {
  const [m, k] = transA ? [a.dim(1), a.dim(0)] : [a.dim(0), a.dim(1)];
  const n = b.dim(transB ? 0 : 1);
  // One more column, or the product the other way round: a column of it is the row that is wanted.
  if (n === 1) {
    const columns = twoColumns(transB ? b.transposed() : b);
    return firstColumn(exactProduct(a, columns, transA, false));
  }
  if (m === 1) {
    const columns = twoColumns(transA ? a : a.transposed());
    return firstColumn(exactProduct(b, columns, !transB, false)).reshape([1, n]);
  }
  if (sumBlock({ batch: 1, m, n, k, isLeftTransposed: transA }) !== null) {
    return transA || transB ? a.gemm(b, { transA, transB }) : a.matmul(b);
  }
  const [left, right] = [transA ? a.transposed() : a, transB ? b.transposed() : b];
  if (n <= m) return withMoreRows(left, right);
  const parts = [2, 4, 8, 16].find(
    (count) => m % count === 0 && m / count >= FEWEST_ROWS && isFixed(count, m / count, n, k),
  );
  // A stack of products shares its threads among them, so that each is divided less.
  if (parts !== undefined)
    return left
      .reshape([parts, m / parts, k])
      .matmul(right.reshape([1, k, n]))
      .reshape([m, n]);
  return inBlocks(left, right);
}

function isFixed(batch: number, m: number, n: number, k: number): boolean {
  return sumBlock({ batch, m, n, k, isLeftTransposed: false }) !== null;
}

/** `k` in blocks, each of which is one sum in every kernel, added one after the other. */
function inBlocks(a: Tensor, b: Tensor): Tensor {
  const k = a.dim(-1);
  const sizes = Array.from({ length: Math.ceil(k / BLOCK) }, (_, i) => Math.min(BLOCK, k - i * BLOCK));
  if (sizes.length === 1) return a.matmul(b);
  const [left, right] = [a.split(-1, sizes), b.split(b.rank - 2, sizes)];
  return left.map((part, i) => part.matmul(right[i] as Tensor)).reduce((sum, each) => sum.add(each));
}

/** A thread with a single row takes another kernel: with rows of zeros behind, none has. */
function withMoreRows(a: Tensor, b: Tensor): Tensor {
  const m = a.dim(-2);
  return a
    .pad(a.rank - 2, 0, 2 * MOST_PARTS - m)
    .matmul(b)
    .slice(-2, 0, m);
}

/** A column `[…, k, 1]` twice. */
function twoColumns(column: Tensor): Tensor {
  const shape = [...column.shape.slice(0, -1), 2];
  const [first] = column.value ?? [];
  const isUniform = first !== undefined && column.value?.every((each) => each === first) === true;
  return isUniform ? column.graph.full(shape, first) : column.expand(shape);
}

function firstColumn(x: Tensor): Tensor {
  return x.slice(-1, 0, 1);
}

function firstRow(x: Tensor): Tensor {
  return x.slice(-2, 0, 1);
}
