import { expect, it } from "vitest";
import { verdict } from "./codec-gate.ts";

const base = [
  { training: 2, heldOut: 2.2 },
  { training: 2.1, heldOut: 2.3 },
];
const times = (...factors: readonly number[]) =>
  base.map(({ training, heldOut }, seed) => ({
    training: training * (factors[seed] ?? 1),
    heldOut: heldOut * (factors[seed] ?? 1),
  }));

it("a codec passes whose loss is that of f32 within half a percent, seed by seed", () => {
  expect(verdict(base, base)).toMatchObject({ trainingWorse: 0, heldOutWorse: 0, passed: true });
  expect(verdict(base, times(1.004, 1.004)).passed).toBe(true);
  expect(verdict(base, times(0.99, 0.98)).passed, "better is no fault").toBe(true);
  expect(verdict(base, times(1.006, 1.006)).passed).toBe(false);
  expect(verdict(base, times(1.012, 0.99)).passed, "one seed went wrong").toBe(false);
  expect(verdict(base, times(Number.NaN, 1)).passed).toBe(false);
  expect(() => verdict(base, base.slice(1))).toThrow(/same seeds/);
});
