/**
 * Functions that JavaScript leaves to its engine, whose last digit differs between processors and
 * versions, made of sums, products and quotients, which do not. Errors are a few units in the last
 * place of a double: rounded to float32, they give the nearest value but for one in some 10⁷.
 */

/** π/2 in parts of 33 bits, so that their products with whole numbers below 2²⁰ are exact, and the rest (fdlibm). */
const HALF_PI = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21] as const;
/** ln 2 likewise. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** The sum of `first · ratio(1) · … · ratio(n)`, from the smallest term. */
function series(terms: number, ratio: (n: number) => number): number {
  let sum = 1;
  for (let n = terms; n >= 1; n--) sum = 1 + ratio(n) * sum;
  return sum;
}

/** The cosine of `x`, of at most some 10⁶. */
export function cos(x: number): number {
  return circular(x, 1);
}

/** The sine of `x`, of at most some 10⁶. */
export function sin(x: number): number {
  return circular(x, 0);
}

function circular(x: number, turned: 0 | 1): number {
  const quarters = Math.round(x / (Math.PI / 2));
  let rest = x;
  for (const part of HALF_PI) rest -= quarters * part;
  const square = rest * rest;
  const quarter = (((quarters + turned) % 4) + 4) % 4;
  const value =
    quarter % 2 === 1
      ? series(10, (n) => -square / ((2 * n - 1) * (2 * n)))
      : rest * series(10, (n) => -square / (2 * n * (2 * n + 1)));
  return quarter < 2 ? value : -value;
}

/** eˣ */
export function exp(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 710) return Number.POSITIVE_INFINITY;
  if (x < -746) return 0;
  const whole = Math.round(x / Math.LN2);
  const rest = x - whole * LN2_HIGH - whole * LN2_LOW;
  const value = series(18, (n) => rest / n);
  // In two steps, as a power of two of its own may be out of range where the result is not.
  const half = Math.trunc(whole / 2);
  return value * powerOfTwo(half) * powerOfTwo(whole - half);
}

/** The natural logarithm: -∞ at 0, NaN below. */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  let exponent = 0;
  let mantissa = x;
  for (let power = 512; power >= 1; power /= 2) {
    if (mantissa >= powerOfTwo(power)) {
      mantissa *= powerOfTwo(-power);
      exponent += power;
    } else if (mantissa < powerOfTwo(1 - power)) {
      mantissa *= powerOfTwo(power);
      exponent -= power;
    }
  }
  // Subnormal numbers are further down than all powers together.
  for (; mantissa < 1; exponent--) mantissa *= 2;
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  const f = mantissa - 1;
  const s = f / (mantissa + 1);
  const square = s * s;
  let tail = 0;
  for (let n = 12; n >= 1; n--) tail = square * (2 / (2 * n + 1) + tail);
  return exponent * LN2_HIGH + (f - (s * (f - tail) - exponent * LN2_LOW));
}

export function tanh(x: number): number {
  if (Math.abs(x) > 20) return Math.sign(x);
  const square = x * x;
  // Near 0 the quotient of exponentials loses its digits: Lambert's continued fraction.
  if (square < 0.25) {
    let below = 2 * 9 + 1;
    for (let n = 8; n >= 0; n--) below = 2 * n + 1 + square / below;
    return x / below;
  }
  const e = exp(2 * x);
  return (e - 1) / (e + 1);
}

/** `base` to the power of `exponent`; a whole one by products alone. */
export function power(base: number, exponent: number): number {
  if (!Number.isInteger(exponent) || Math.abs(exponent) > 2 ** 31)
    return exponent === 0.5 ? Math.sqrt(base) : exp(exponent * log(base));
  let result = 1;
  let square = base;
  for (let rest = Math.abs(exponent); rest >= 1; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return exponent < 0 ? 1 / result : result;
}

/** Exact, for whole numbers from −1022 to 1023. */
function powerOfTwo(exponent: number): number {
  return power(2, exponent);
}
