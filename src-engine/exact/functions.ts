import type { Tensor } from "../tensor.ts";

/**
 * Functions whose kernels differ between processors, written in sums, products, quotients and
 * comparisons: those are rounded in one way everywhere. Errors are of the size of float32's rounding;
 * in a float64 graph more terms are taken.
 */

/** `c₀ + c₁·x + c₂·x² + …` by Horner's rule, of at least two coefficients. */
function series(x: Tensor, coefficients: readonly number[]): Tensor {
  const [last = 0, next = 0, ...others] = coefficients.toReversed();
  return others.reduce<Tensor>((sum, each) => sum.mul(x).add(each), x.mul(last).add(next));
}

function isDouble(x: Tensor): boolean {
  return x.type === "float64";
}

/** `2·artanh(s) / s − 2` over `s²`: 2/3 + 2/5·s² + …, without the last factor. */
function artanhTail(square: Tensor, terms: number): Tensor {
  return series(
    square,
    Array.from({ length: terms }, (_, i) => 2 / (2 * i + 3)),
  );
}

/** ln 2 as a number of few digits, whose products with exponents are exact, and the rest. */
const LN2_HIGH = 0.693145751953125;
const LN2_LOW = Math.LN2 - LN2_HIGH;

/**
 * The natural logarithm: x = 2ᵏ·m with m between √½ and √2, ln m = 2·artanh((m − 1)/(m + 1)).
 * -∞ at 0, NaN below, as ONNX Runtime's.
 */
export function exactLog(x: Tensor): Tensor {
  const { graph } = x;
  const number = (value: number): Tensor => graph.constant(x.type, [], [value]);
  const largest = isDouble(x) ? 512 : 64;
  // Small numbers are lifted first, so that only powers of one sign are to be found.
  const lift = 2 * largest - 2;
  const isSmall = x.less(1);
  let mantissa = isSmall.where(x.mul(2 ** lift), x);
  let exponent = isSmall.where(number(-lift), number(0));
  // Subnormal numbers reach below what one lift makes up for.
  const isTiny = mantissa.less(1);
  mantissa = isTiny.where(mantissa.mul(2 ** largest), mantissa);
  exponent = isTiny.where(exponent.sub(largest), exponent);
  for (let power = largest; power >= 1; power /= 2) {
    const isLarge = mantissa.less(2 ** power);
    exponent = isLarge.where(exponent, exponent.add(power));
    mantissa = isLarge.where(mantissa, mantissa.mul(2 ** -power));
  }
  const isAbove = mantissa.greater(Math.SQRT2);
  exponent = isAbove.where(exponent.add(1), exponent);
  mantissa = isAbove.where(mantissa.mul(0.5), mantissa);
  const f = mantissa.sub(1);
  const s = f.div(mantissa.add(1));
  const square = s.mul(s);
  // 2·artanh(s) = f − s·(f − s²·tail): the leading term f is exact.
  const tail = square.mul(artanhTail(square, isDouble(x) ? 11 : 5));
  const whole = exponent.mul(LN2_HIGH).add(f.sub(s.mul(f.sub(tail)).sub(exponent.mul(LN2_LOW))));
  const special = x.equal(0).where(number(Number.NEGATIVE_INFINITY), number(Number.NaN));
  return x.greater(0).where(x.less(Number.POSITIVE_INFINITY).where(whole, x), special);
}

/** `ln(1 + eˣ) = max(x, 0) + 2·artanh(u/(2 + u))` with u = e^−|x|. */
export function exactSoftplus(x: Tensor): Tensor {
  const u = x.graph.apply("Abs", [x]).neg().exp();
  const s = u.div(u.add(2));
  const square = s.mul(s);
  const tail = artanhTail(square, isDouble(x) ? 16 : 7);
  return x.graph.apply("Relu", [x]).add(s.mul(2).add(s.mul(square).mul(tail)));
}

/** π/2 in three numbers of few digits, the rest in the last. */
const HALF_PI = [1.5703125, 4.837512969970703e-4, 7.549789948768648e-8] as const;
const HALF_PI_REST = Math.PI / 2 - HALF_PI[0] - HALF_PI[1] - HALF_PI[2];

/** Sine (`turned` 0) or cosine (1): x less the nearest multiple of π/2, then Taylor's series. */
function circular(x: Tensor, turned: 0 | 1): Tensor {
  const { graph } = x;
  const quarters = graph.apply("Round", [x.mul(2 / Math.PI)]);
  const rest = [...HALF_PI, HALF_PI_REST].reduce((left, part) => left.sub(quarters.mul(part)), x);
  const square = rest.mul(rest);
  const terms = isDouble(x) ? 10 : 6;
  const factorials = (first: number): number[] =>
    Array.from({ length: terms }, (_, i) => {
      let value = i % 2 === 0 ? 1 : -1;
      for (let factor = 2; factor <= 2 * i + first; factor++) value /= factor;
      return value;
    });
  const sine = rest.add(rest.mul(square).mul(series(square, factorials(1).slice(1))));
  const cosine = square.mul(series(square, factorials(0).slice(1))).add(1);
  // Which quarter: 0 to 3.
  const shifted = quarters.add(turned);
  const quarter = shifted.sub(graph.apply("Floor", [shifted.mul(0.25)]).mul(4));
  const isOdd = graph.apply("Or", [quarter.equal(1), quarter.equal(3)]);
  const value = isOdd.where(cosine, sine);
  return quarter.greater(1.5).where(value.neg(), value);
}

export function exactSin(x: Tensor): Tensor {
  return circular(x, 0);
}

export function exactCos(x: Tensor): Tensor {
  return circular(x, 1);
}
