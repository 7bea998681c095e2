import type { TensorProto } from "../onnx_pb.js";
import { sizeOf, type Shape } from "../shape.ts";

/** How a stored tensor holds the numbers of another one: as they are, in another shape, transposed, or in each of its rows. */
export type Form = "same" | "reshaped" | "transposed" | "repeated";

export interface Copy {
  /** The stored tensor that is trained. */
  readonly of: string;
  readonly form: Form;
}

export interface FormCandidate {
  readonly name: string;
  readonly shape: Shape;
  readonly proto: TensorProto;
  /** The module's parameters that the file says went into it; empty: not said. */
  readonly parametersIn: readonly string[];
}

/** Numbers at places, without reading all of a tensor. */
export type At = (candidate: FormCandidate, index: number) => number;
export type Read = (candidate: FormCandidate) => Float32Array;

/** Fewer numbers, or fewer different ones, are alike by chance. */
const FEWEST_NUMBERS = 16;
const FEWEST_DIFFERENT = 8;
const PLACES = 16;

/**
 * Stored tensors that hold another one's parameter a second time: an exporter that folds a transposition
 * stores a tied matrix twice. By what the file says of their origin, with the numbers as the check; where
 * it says nothing, only a matrix and its transpose are taken for one, if they have enough different numbers.
 */
export function copiesAmong(
  candidates: readonly FormCandidate[],
  at: At,
  read: Read,
): ReadonlyMap<string, Copy> {
  const copies = new Map<string, Copy>();
  const bySize = Map.groupBy(
    candidates.filter(({ shape }) => sizeOf(shape) >= FEWEST_NUMBERS),
    ({ shape }) => sizeOf(shape),
  );
  for (const group of bySize.values()) {
    for (const [i, second] of group.entries()) {
      for (const first of group.slice(0, i)) {
        if (copies.has(first.name) || copies.has(second.name)) continue;
        const form = formOf(first, second, at, read);
        if (form !== null) copies.set(second.name, { of: first.name, form });
      }
    }
  }
  for (const table of candidates) {
    const row = copies.has(table.name)
      ? undefined
      : candidates.find((each) => isRowOf(each, table, at, read));
    if (row !== undefined) copies.set(table.name, { of: row.name, form: "repeated" });
  }
  return copies;
}

/**
 * Whether the file says that `table` was computed from the parameter `row` (and others), and it holds that
 * vector again and again: a bias that was added to a product with zeros, the first step of a loop.
 */
function isRowOf(row: FormCandidate, table: FormCandidate, at: At, read: Read): boolean {
  const length = row.shape[0] ?? 0;
  const isSaid =
    table.parametersIn.includes(row.name) &&
    row.shape.length === 1 &&
    table.shape.length > 1 &&
    table.shape.at(-1) === length;
  if (!isSaid || at(row, 0) !== at(table, 0)) return false;
  const [numbers, all] = [read(row), read(table)];
  return all.every((value, index) => value === numbers[index % length]);
}

function formOf(first: FormCandidate, second: FormCandidate, at: At, read: Read): Form | null {
  const isSaid = first.parametersIn.length > 0 || second.parametersIn.length > 0;
  if (isSaid && !isSameOrigin(first, second)) return null;
  const forms = [
    ...(isTransposed(first.shape, second.shape) ? ["transposed" as const] : []),
    ...(isSaid ? [sameShape(first.shape, second.shape) ? ("same" as const) : ("reshaped" as const)] : []),
  ];
  return forms.find((form) => holds(form, first, second, at, read)) ?? null;
}

function isSameOrigin(first: FormCandidate, second: FormCandidate): boolean {
  const [one, other] = [first.parametersIn, second.parametersIn];
  return one.length === 1 && other.length === 1 && one[0] === other[0];
}

function isTransposed(first: Shape, second: Shape): boolean {
  return first.length === 2 && second.length === 2 && first[0] === second[1] && first[1] === second[0];
}

function sameShape(first: Shape, second: Shape): boolean {
  return first.length === second.length && first.every((size, axis) => size === second[axis]);
}

function holds(form: Form, first: FormCandidate, second: FormCandidate, at: At, read: Read): boolean {
  const [rows = 1, columns = 1] = first.shape;
  const size = sizeOf(first.shape);
  const place = (index: number): number =>
    form === "transposed" ? (index % columns) * rows + Math.floor(index / columns) : index;
  // A few places tell nearly all pairs apart.
  for (let i = 0; i < PLACES; i++) {
    const index = Math.floor((i * 0.618_034 * size) % size);
    if (at(first, index) !== at(second, place(index))) return false;
  }
  const [one, other] = [read(first), read(second)];
  const different = new Set<number>();
  for (let index = 0; index < size; index++) {
    const value = one[index] ?? 0;
    if (value !== other[place(index)]) return false;
    if (different.size < FEWEST_DIFFERENT) different.add(value);
  }
  const isSymmetric = form === "transposed" && rows === columns && isItsOwnTranspose(one, rows);
  return different.size >= FEWEST_DIFFERENT && !isSymmetric;
}

function isItsOwnTranspose(numbers: Float32Array, side: number): boolean {
  for (let row = 0; row < side; row++)
    for (let column = 0; column < row; column++)
      if (numbers[row * side + column] !== numbers[column * side + row]) return false;
  return true;
}

/** The numbers of the trained tensor as its copy, of `size` numbers, stores them. `shape`: of the trained one. */
export function inForm(form: Form, numbers: Float32Array, shape: Shape, size: number): Float32Array {
  if (form === "repeated")
    return Float32Array.from({ length: size }, (_, index) => numbers[index % numbers.length] ?? 0);
  if (form !== "transposed") return numbers;
  const [rows = 1, columns = 1] = shape;
  const result = new Float32Array(numbers.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = numbers[row * columns + column] ?? 0;
  return result;
}
