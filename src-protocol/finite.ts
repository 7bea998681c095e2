/** Of a float32: all of them are set in an infinity and in what is no number, and in nothing else (IEEE 754). */
const EXPONENT = 0x7f80_0000;
const EXPONENT_UNIT = 0x0080_0000;

/**
 * True when no value is NaN or infinite. SECURITY: one such value, from a peer or a file, spreads to
 * every parameter it meets and cannot be trained away again.
 *
 * Each tensor that comes is looked through, mostly by code that is not compiled to its end: so only whole numbers
 * are used, and four at a time. One more than the largest exponent is the sign bit, which stays once it is set.
 */
export function isFiniteTensor({ buffer, byteOffset, length }: Float32Array): boolean {
  const bits = new Int32Array(buffer, byteOffset, length);
  const whole = length - (length % 4);
  let seen = 0;
  for (let i = 0; i < whole; i += 4)
    seen |=
      (((bits[i] as number) & EXPONENT) + EXPONENT_UNIT) |
      (((bits[i + 1] as number) & EXPONENT) + EXPONENT_UNIT) |
      (((bits[i + 2] as number) & EXPONENT) + EXPONENT_UNIT) |
      (((bits[i + 3] as number) & EXPONENT) + EXPONENT_UNIT);
  for (let i = whole; i < length; i++) seen |= ((bits[i] as number) & EXPONENT) + EXPONENT_UNIT;
  return seen >= 0;
}
