import { sizeOf, type Shape } from "../shape.ts";

/**
 * What stored numbers themselves say of being a table that was computed and not learned. Everything
 * here reads float32; `null` is "they could be anything".
 */
export type TableKind = "mask" | "non-finite" | "positions" | "frequencies";

/** What an attention mask adds to scores that must not count, at the least. */
const MASKED = -1e4;
/** Roundings of float16 leave this much in a recurrence of numbers up to 1. */
const EXACT = 4e-3;
/** Fewer positions say nothing. */
const FEWEST_POSITIONS = 6;

export function tableKind(numbers: Float32Array, shape: Shape): TableKind | null {
  let [masked, others] = [0, 0];
  for (const value of numbers) {
    if (!Number.isFinite(value) && value !== Number.NEGATIVE_INFINITY) return "non-finite";
    if (value <= MASKED) masked++;
    else if (value !== 0) others++;
  }
  if (masked > 0 && others === 0 && shape.length > 1) return "mask";
  if (numbers.includes(Number.NEGATIVE_INFINITY)) return "non-finite";
  if (shape.filter((size) => size > 1).length === 1) return isGeometric(numbers) ? "frequencies" : null;
  return arePositions(numbers, shape) ? "positions" : null;
}

/** Powers of one number, falling: the frequencies of rotary and sinusoidal positions, slopes of ALiBi. */
function isGeometric(numbers: Float32Array): boolean {
  const [first = 0, second = 0] = numbers;
  const ratio = second / first;
  if (numbers.length < 4 || !(ratio > 0) || ratio >= 0.999) return false;
  return numbers.every((value, i) => i === 0 || Math.abs(value / ((numbers[i - 1] ?? 0) * ratio) - 1) < 1e-3);
}

/**
 * Whether, along one axis, every column is a sine, a cosine or a straight line of the position: each
 * satisfies `f(p + 1) + f(p - 1) = c · f(p)` with one c, |c| ≤ 2. Learned numbers never do.
 */
function arePositions(numbers: Float32Array, shape: Shape): boolean {
  return shape.some((length, axis) => {
    if (length < FEWEST_POSITIONS) return false;
    const step = sizeOf(shape.slice(axis + 1));
    let changing = 0;
    for (let block = 0; block < numbers.length; block += length * step) {
      for (let column = 0; column < step; column++) {
        const waves = isWave((p) => numbers[block + column + p * step] ?? 0, length);
        if (waves === null) return false;
        if (waves) changing++;
      }
    }
    return changing > 0;
  });
}

/** true: a wave or a line; false: all alike, which says nothing; null: neither. */
function isWave(at: (position: number) => number, length: number): boolean | null {
  let [product, square, largest] = [0, 0, 0];
  let isConstant = true;
  for (let p = 1; p + 1 < length; p++) {
    product += (at(p + 1) + at(p - 1)) * at(p);
    square += at(p) * at(p);
    largest = Math.max(largest, Math.abs(at(p - 1)), Math.abs(at(p)), Math.abs(at(p + 1)));
    if (at(p) !== at(0) || at(p + 1) !== at(0)) isConstant = false;
  }
  if (isConstant) return false;
  const c = square === 0 ? 2 : product / square;
  if (Math.abs(c) > 2 + EXACT) return null;
  for (let p = 1; p + 1 < length; p++)
    if (Math.abs(at(p + 1) + at(p - 1) - c * at(p)) > EXACT * largest) return null;
  return true;
}
