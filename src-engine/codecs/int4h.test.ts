import { describe, expect, it } from "vitest";
import { randomStream } from "../random.ts";
import { hadamard64 } from "./hadamard.ts";
import { int4h } from "./int4h.ts";
import {
  encoded,
  isOutlier,
  normalValues,
  outlierValues,
  relativeError,
  roundTrip,
} from "./values.test-support.ts";

describe("int4h", () => {
  it("halves the error beside outliers, against the same integers without the rotation", () => {
    const rows = outlierValues(64);
    const normal = (index: number): boolean => !isOutlier(index);
    const plain = relativeError(rows, plainInt4(rows), normal);
    expect(plain).toBeGreaterThan(0.35);
    expect(relativeError(rows, roundTrip(int4h, rows), normal)).toBeLessThan(plain / 2);
  });

  it("keeps a block's root mean square error below half a step, stochastically below one", () => {
    for (const seed of Array.from({ length: 200 }, (_, i) => i)) {
      const values = normalValues(64, seed).map((value) => value ** 3);
      const step = (Math.max(...rotated(values).map(Math.abs)) / 7) * (1 + 2 ** -7);
      const rootMeanSquare = (result: Float32Array): number =>
        Math.sqrt(result.reduce((sum, value, i) => sum + (value - (values[i] ?? 0)) ** 2, 0) / 64);
      expect(rootMeanSquare(roundTrip(int4h, values))).toBeLessThan(step / 2);
      expect(rootMeanSquare(roundTrip(int4h, values, randomStream(seed)))).toBeLessThan(step);
    }
  });

  it("does not make one outlier of a block of equal values", () => {
    const equal = new Float32Array(64).fill(1);
    expect(Math.max(...rotated(equal).map(Math.abs))).toBeLessThan(4);
  });

  it("has signs that no release may change: they are part of the format", () => {
    const values = Float32Array.from({ length: 3 }, (_, i) => i + 1);
    expect(Buffer.from(encoded(int4h, values)).toString("hex")).toMatchInlineSnapshot(
      `"dc3d5500ee995500ee995500ee995500ee995500ee995500ee995500ee995500ee99"`,
    );
  });
});

describe("hadamard64", () => {
  it("is the symmetric matrix of ±1 with the sign of the number of common bits", () => {
    for (let column = 0; column < 64; column++) {
      const unit = new Float64Array(64);
      unit[column] = 1;
      hadamard64(unit);
      expect([...unit]).toEqual(
        Array.from({ length: 64 }, (_, row) => (commonBits(row, column) % 2 ? -1 : 1)),
      );
    }
  });
});

function commonBits(a: number, b: number): number {
  return [...(a & b).toString(2)].filter((bit) => bit === "1").length;
}

/** What the codec quantises: found from its format alone, by encoding unit vectors. */
function rotated(values: Float32Array): number[] {
  const result = new Float64Array(64);
  for (const [i, value] of values.entries()) {
    const unit = new Float32Array(64);
    unit[i] = 8;
    const bytes = encoded(int4h, unit);
    for (let k = 0; k < 64; k++) {
      const pair = bytes[2 + (k % 32)] ?? 0;
      const positive = ((pair >> (k < 32 ? 0 : 4)) & 15) < 8;
      result[k] = (result[k] ?? 0) + ((positive ? 1 : -1) * value) / 8;
    }
  }
  return [...result];
}

function plainInt4(values: Float32Array): Float32Array {
  return values.map((value, i) => {
    const from = i - (i % 64);
    const step = values.subarray(from, from + 64).reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 7;
    return Math.round(value / step) * step;
  });
}
