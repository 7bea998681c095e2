import { Failure } from "../../src-protocol/failure.ts";
import { printable } from "../printable.ts";
import type { StoredParameter } from "./decoder-parameters.ts";
import { type ModelFiles, type TensorInFile, tensorsIn } from "./model-files.ts";
import {
  decodeNumbers,
  encodeNumbers,
  isNumberType,
  NUMBER_BYTES,
  type NumberType,
} from "./stored-numbers.ts";

/** Bytes of a file that are in memory at once. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** Rows and columns that are exchanged together, so that both stay in the processor's cache. */
const TILE = 64;

/** A parameter's tensor, of the type it is stored in. */
export type ParameterTensor = TensorInFile & { readonly dtype: NumberType };

/**
 * Where a parameter is stored.
 *
 * @throws Failure `bad-weights` when the files do not have it, or in another shape or as no floats
 */
export function tensorOf(files: ModelFiles, { name, shape, transposed }: StoredParameter): ParameterTensor {
  const tensor = tensorsIn(files).get(name);
  const wanted = transposed ? shape.toReversed() : shape;
  if (!tensor)
    throw misfit(name, `is not in the model's files, and would have the shape [${wanted.join(", ")}]`);
  if (!(tensor.shape.length === wanted.length && wanted.every((size, axis) => size === tensor.shape[axis])))
    throw misfit(
      name,
      `has the shape [${tensor.shape.join(", ")}], and [${wanted.join(", ")}] by config.json`,
    );
  const { dtype } = tensor;
  if (isNumberType(dtype)) return { ...tensor, dtype };
  throw misfit(name, `is stored as ${dtype}; float32, float16, bfloat16 and float64 can be trained`);
}

/** Reads a parameter as float32, in pieces: nothing else of its size is in memory. */
export function readParameter(files: ModelFiles, info: StoredParameter, into: Float32Array): void {
  const tensor = tensorOf(files, info);
  const rowLength = tensor.shape.at(-1) ?? 1;
  for (const { from, to, firstRow } of pieces(tensor)) {
    const values = decodeNumbers(tensor.dtype, files.read(tensor.file, from, to));
    if (info.transposed) exchange(values, rowLength, into, tensor.shape[0] ?? 1, firstRow, "spread");
    else into.set(values, firstRow * rowLength);
  }
}

/** The other way: the tensor's bytes in the order of its file, piece by piece, as `dtype`. */
export function* parameterBytes(
  tensor: Pick<ParameterTensor, "shape" | "dtype" | "from" | "to">,
  transposed: boolean,
  values: Float32Array,
): Generator<Uint8Array> {
  const rowLength = tensor.shape.at(-1) ?? 1;
  const each = NUMBER_BYTES[tensor.dtype];
  for (const { from, to, firstRow } of pieces(tensor)) {
    const count = (to - from) / each;
    if (!transposed) {
      yield encodeNumbers(tensor.dtype, values.slice(firstRow * rowLength, firstRow * rowLength + count));
      continue;
    }
    const rows = new Float32Array(count);
    exchange(rows, rowLength, values, tensor.shape[0] ?? 1, firstRow, "collect");
    yield encodeNumbers(tensor.dtype, rows);
  }
}

interface Piece {
  readonly from: number;
  readonly to: number;
  readonly firstRow: number;
}

/** Whole rows of the last axis, as many as fit. */
function* pieces({
  shape,
  dtype,
  from,
  to,
}: Pick<ParameterTensor, "shape" | "dtype" | "from" | "to">): Generator<Piece> {
  const rowBytes = (shape.at(-1) ?? 1) * NUMBER_BYTES[dtype];
  const rows = Math.max(1, Math.floor(PIECE_BYTES / Math.max(1, rowBytes)));
  for (let at = from, firstRow = 0; at < to; at += rows * rowBytes, firstRow += rows)
    yield { from: at, to: Math.min(to, at + rows * rowBytes), firstRow };
}

/** Between rows of [rows, rowLength], from `firstRow` on, and all of [rowLength, allRows]. */
function exchange(
  rows: Float32Array,
  rowLength: number,
  whole: Float32Array,
  allRows: number,
  firstRow: number,
  direction: "spread" | "collect",
): void {
  const count = rows.length / rowLength;
  for (let top = 0; top < count; top += TILE) {
    const bottom = Math.min(count, top + TILE);
    for (let left = 0; left < rowLength; left += TILE) {
      const right = Math.min(rowLength, left + TILE);
      for (let column = left; column < right; column++) {
        const base = column * allRows + firstRow;
        if (direction === "spread")
          for (let row = top; row < bottom; row++)
            whole[base + row] = rows[row * rowLength + column] as number;
        else
          for (let row = top; row < bottom; row++)
            rows[row * rowLength + column] = whole[base + row] as number;
      }
    }
  }
}

function misfit(name: string, why: string): Failure {
  return new Failure("bad-weights", `The model's tensor "${printable(name)}" ${why}.`);
}
