/**
 * How ONNX Runtime 1.30 shares a product of float32 matrices out among threads, and in which blocks
 * it takes the sum over the inner size `k` (MLAS, `sgemm.cpp`: MlasGemmBatch, MlasSgemmOperation).
 * The order of a sum decides its last bits, so a product gives the same everywhere only if every
 * way of sharing it out leads to one order.
 */

export interface ProductShape {
  /** Products of one size that one call computes. */
  batch: number;
  m: number;
  n: number;
  k: number;
  /** The left factor is read transposed. */
  isLeftTransposed: boolean;
}

/** 16, and four times that on processors with two kinds of cores. */
export const MOST_PARTS = 64;
/** Columns are shared out in groups of so many. */
const COLUMN_GROUP = 16;
/** Multiply-adds for each further thread. */
const WORK_OF_A_PART = 65_536;
const BLOCK = 128;

/**
 * The block of `k` in which sums are taken, however many threads there are; null: it differs. A
 * product of one row or column has kernels of its own, which differ between processors.
 */
export function sumBlock(shape: ProductShape): number | null {
  const { m, n, k, isLeftTransposed } = shape;
  if (n === 1 || (m === 1 && !isLeftTransposed)) return null;
  const blocks = new Set<number>();
  for (const parts of partCounts(shape)) {
    if (n > m) for (const columns of columnsOf(n, parts)) blocks.add(blockOf(columns, k));
    else if (parts > 1 && Math.floor(m / parts) === 1 && !isLeftTransposed) return null;
    else blocks.add(blockOf(n, k));
  }
  const [block] = blocks;
  return blocks.size === 1 && block !== undefined ? block : null;
}

/** Into how many parts one product may be divided, by rows where there are as many as columns. */
function partCounts({ batch, m, n, k }: ProductShape): Set<number> {
  const threads = Math.min(MOST_PARTS, Math.floor((m * n * k) / WORK_OF_A_PART) + 1);
  const most = n > m ? Math.ceil(n / COLUMN_GROUP) : m;
  return new Set(Array.from({ length: threads }, (_, i) => Math.min(most, Math.ceil((i + 1) / batch))));
}

/** Columns of the parts: whole groups, the first parts one more, the last cut at the end. */
function columnsOf(n: number, parts: number): number[] {
  const groups = Math.ceil(n / COLUMN_GROUP);
  const [least, rest] = [Math.floor(groups / parts), groups % parts];
  const last = n - (groups - least) * COLUMN_GROUP;
  const others = parts > rest + 1 ? [least * COLUMN_GROUP] : [];
  return [...(rest > 0 ? [(least + 1) * COLUMN_GROUP] : []), ...others, last];
}

/** Narrow parts take longer blocks, and sums shorter than a block are one. */
function blockOf(columns: number, k: number): number {
  let block = BLOCK;
  let width = BLOCK;
  if (columns < k) {
    while (width > COLUMN_GROUP && width / 2 >= columns) {
      block *= 2;
      width /= 2;
    }
  }
  return Math.min(block, k);
}
