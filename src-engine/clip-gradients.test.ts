import { describe, expect, it } from "vitest";
import { clipFactor, sumOfSquares } from "./clip-gradients.ts";

const gradients = [Float32Array.of(3, 0), Float32Array.of(-4), Float32Array.of(12, 0, 0)];

describe("clipping by the global norm", () => {
  it("brings long gradients to the largest norm and keeps their direction", () => {
    const factor = clipFactor(sumOfSquares(gradients), 6.5);
    expect(factor).toBeCloseTo(0.5, 12);
    expect(Math.sqrt(sumOfSquares(gradients)) * factor).toBeCloseTo(6.5, 12);
  });

  it("leaves short gradients, and those of exactly the largest norm, as they are", () => {
    expect(clipFactor(sumOfSquares(gradients), 13)).toBe(1);
    expect(clipFactor(sumOfSquares(gradients), 14)).toBe(1);
    expect(clipFactor(0, 1)).toBe(1);
  });

  it("is the same for a model in stages: their squares add up", () => {
    const [first, ...others] = gradients as [Float32Array, ...Float32Array[]];
    expect(sumOfSquares([first]) + sumOfSquares(others)).toBe(sumOfSquares(gradients));
  });

  it("counts a sum over micro-batches as its mean", () => {
    const summed = gradients.map((gradient) => gradient.map((value) => 8 * value));
    const gradientScale = 1 / 8;
    expect(clipFactor(sumOfSquares(summed), 6.5, gradientScale)).toBeCloseTo(0.5, 12);
  });

  it("does not overflow where float32 would", () => {
    const huge = [Float32Array.of(1e30, 1e30)];
    expect(clipFactor(sumOfSquares(huge), 1) * Math.hypot(1e30, 1e30)).toBeCloseTo(1, 6);
  });

  it("says NaN where a gradient is not finite, so that nobody takes the step", () => {
    expect(clipFactor(sumOfSquares([Float32Array.of(1, Number.NaN)]), 1)).toBeNaN();
    expect(clipFactor(sumOfSquares([Float32Array.of(Infinity)]), 1)).toBeNaN();
  });

  it("refuses a largest norm that is not above 0", () => {
    expect(() => clipFactor(1, 0)).toThrow(RangeError);
    expect(() => clipFactor(1, Number.NaN)).toThrow(RangeError);
  });
});

it("squares are added in their order, whatever their number", () => {
  for (let size = 0; size <= 20; size++) {
    const gradient = Float32Array.from({ length: size }, (_, i) => 1 / (i + 3));
    let sum = 0;
    for (const value of gradient) sum += value * value;
    expect(sumOfSquares([gradient])).toBe(sum);
  }
});
