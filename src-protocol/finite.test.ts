import { expect, it } from "vitest";
import { isFiniteTensor } from "./finite.ts";

const NO_NUMBERS = [Number.NaN, Infinity, -Infinity];
/** The largest, the smallest, zeros and one that is denormal. */
const NUMBERS = [3.4028234663852886e38, -3.4028234663852886e38, 1.401298464324817e-45, -0, 0, 1.1754942e-38];

it("numbers of every size are finite, and so is nothing", () => {
  for (let length = 0; length < 12; length += 1)
    for (const number of NUMBERS) expect(isFiniteTensor(new Float32Array(length).fill(number))).toBe(true);
});

it.each(NO_NUMBERS)("%d is found wherever it stands", (value) => {
  for (let length = 1; length < 12; length += 1)
    for (let at = 0; at < length; at += 1) {
      const values = new Float32Array(length).fill(-1);
      values[at] = value;
      expect(isFiniteTensor(values)).toBe(false);
    }
});

it("what lies around a part of a memory is not looked at", () => {
  const whole = Float32Array.of(Number.NaN, 1, 2, Number.NaN);
  expect([isFiniteTensor(whole.subarray(1, 3)), isFiniteTensor(whole.subarray(1))]).toEqual([true, false]);
});
