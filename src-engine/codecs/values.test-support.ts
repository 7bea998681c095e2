import { randomStream } from "../random.ts";
import type { Codec } from "./codec.ts";

/** Standard normal values (Box and Muller). */
export function normalValues(count: number, seed = 1): Float32Array {
  const random = randomStream(seed, "normal");
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

export const WIDTH = 2048;
export const isOutlier = (index: number): boolean => (index % WIDTH) % 256 === 100;

/** Rows of 2048 channels, 8 of them 30 times as large: the residual stream of a language model. */
export function outlierValues(rows: number): Float32Array {
  return normalValues(rows * WIDTH).map((value, i) => (isOutlier(i) ? 30 * value : value));
}

export function encoded(codec: Codec, values: Float32Array, random?: () => number): Uint8Array {
  const bytes = new Uint8Array(codec.encodedBytes(values.length));
  codec.encode(values, bytes, random);
  return bytes;
}

export function decoded(codec: Codec, bytes: Uint8Array, count: number): Float32Array {
  const values = new Float32Array(count);
  codec.decode(bytes, values);
  return values;
}

export function roundTrip(codec: Codec, values: Float32Array, random?: () => number): Float32Array {
  return decoded(codec, encoded(codec, values, random), values.length);
}

/** Root mean square error over that of the values, of those that `counts` chooses. */
export function relativeError(
  values: Float32Array,
  result: Float32Array,
  counts: (index: number) => boolean = () => true,
): number {
  let error = 0;
  let total = 0;
  for (const [i, value] of values.entries()) {
    if (!counts(i)) continue;
    error += ((result[i] ?? Number.NaN) - value) ** 2;
    total += value ** 2;
  }
  return Math.sqrt(error / total);
}
