import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomStream } from "../random.ts";
import { CODECS } from "./codecs.ts";
import {
  decoded,
  encoded,
  isOutlier,
  normalValues,
  outlierValues,
  relativeError,
  roundTrip,
} from "./values.test-support.ts";

/** Bits a value of a long tensor, and the largest relative errors that are allowed. */
const PROMISES = {
  f32: { bits: 32, normal: 0, outliers: 0, besideOutliers: 0, noise: 0 },
  f16: { bits: 16, normal: 0.000_22, outliers: 0.000_22, besideOutliers: 0.000_22, noise: 0.000_31 },
  int8b64: { bits: 8.25, normal: 0.0062, outliers: 0.017, besideOutliers: 0.037, noise: 0.0088 },
  int4h: { bits: 4.25, normal: 0.113, outliers: 0.113, besideOutliers: 0.2, noise: 0.16 },
} as const satisfies Record<keyof typeof CODECS, object>;

describe.each(Object.values(CODECS))("the codec $name", (codec) => {
  const promise = PROMISES[codec.name as keyof typeof PROMISES];

  it("takes the bits per value that it promises", () => {
    expect((codec.encodedBytes(64_000) * 8) / 64_000).toBe(promise.bits);
    expect(codec.encodedBytes(0)).toBe(0);
  });

  it("keeps normal values and channels with outliers within its error", () => {
    const normal = normalValues(1 << 17);
    expect(relativeError(normal, roundTrip(codec, normal))).toBeLessThanOrEqual(promise.normal);
    const noisy = roundTrip(codec, normal, randomStream(2, "rounding"));
    expect(relativeError(normal, noisy)).toBeLessThanOrEqual(promise.noise);
    const rows = outlierValues(64);
    const result = roundTrip(codec, rows);
    expect(relativeError(rows, result)).toBeLessThanOrEqual(promise.outliers);
    const beside = relativeError(rows, result, (index) => !isOutlier(index));
    expect(beside).toBeLessThanOrEqual(promise.besideOutliers);
  });

  it("does as well with small values as with large: gradients of 1e-7 keep their precision", () => {
    const normal = normalValues(1 << 12);
    // binary16 has steps of equal size there, as its docstring says.
    for (const scale of codec.name === "f16" ? [2, 2 ** 10] : [2 ** -24, 2 ** -60, 2 ** 60]) {
      const scaled = normal.map((value) => value * scale);
      const result = roundTrip(codec, scaled).map((value) => value / scale);
      expect(result).toEqual(roundTrip(codec, normal));
    }
  });

  it.each([1, 3e-7])("has a mean that is the value when rounding is stochastic, at a size of %d", (size) => {
    const values = normalValues(135).map((value) => value * size);
    const random = randomStream(5, "rounding");
    const sum = new Float64Array(values.length);
    const squares = new Float64Array(values.length);
    let worst = 0;
    for (let t = 0; t < 4000; t++) {
      for (const [i, value] of roundTrip(codec, values, random).entries()) {
        const error = value - (values[i] ?? 0);
        sum[i] = (sum[i] ?? 0) + error;
        squares[i] = (squares[i] ?? 0) + error * error;
        worst = Math.max(worst, Math.abs(error));
      }
    }
    // In units of the sum's standard deviation: were the mean error 0, standard normal values. One
    // error more is for values so close to an integer that their rare error may not have been drawn.
    const deviations = Array.from(sum, (total, i) => total / Math.sqrt((squares[i] ?? 0) + worst ** 2 || 1));
    expect(Math.max(...deviations.map(Math.abs))).toBeLessThan(4);
    expect(deviations.reduce((square, d) => square + d * d, 0) / deviations.length).toBeLessThan(1.3);
  });

  it("gives the same bytes for the same stream, and others for another", () => {
    const values = normalValues(1000);
    const bytes = encoded(codec, values, randomStream(1, "step", 4));
    expect(encoded(codec, values, randomStream(1, "step", 4))).toEqual(bytes);
    const other = encoded(codec, values, randomStream(1, "step", 5));
    expect(Buffer.compare(other, bytes) === 0).toBe(codec.name === "f32");
  });

  it.each([undefined, randomStream(1)])("keeps zeros as zeros", (random) => {
    for (const count of [0, 1, 64, 100]) {
      const result = roundTrip(codec, new Float32Array(count), random);
      expect(result.every((value) => value === 0)).toBe(true);
    }
  });

  it("takes tensors that end within a block, at any alignment, and touches nothing else", () => {
    const length = fc.integer({ min: 0, max: 200 });
    fc.assert(
      fc.property(length, fc.nat(5), fc.nat(3), fc.boolean(), (count, shift, skip, stochastic) => {
        const whole = normalValues(skip + count + 3);
        const values = whole.subarray(skip, skip + count);
        const random = () => (stochastic ? randomStream(1) : undefined);
        const bytes = encoded(codec, values, random());
        const room = new Uint8Array(bytes.length + shift + 2).fill(0xaa);
        codec.encode(values, room.subarray(shift, shift + bytes.length), random());
        expect([...room]).toEqual([...Array(shift).fill(0xaa), ...bytes, 0xaa, 0xaa]);
        const place = new Float32Array(skip + count + 3).fill(7);
        codec.decode(room.subarray(shift, shift + bytes.length), place.subarray(skip, skip + count));
        const due = decoded(codec, bytes, count);
        expect([...place]).toEqual([...Array(skip).fill(7), ...due, 7, 7, 7]);
      }),
      { seed: 3 },
    );
  });

  it("never makes a number of what is none", () => {
    for (const poison of [Number.NaN, Infinity, -Infinity]) {
      for (const random of [undefined, randomStream(1)]) {
        const values = normalValues(200);
        values[70] = poison;
        const result = roundTrip(codec, values, random);
        expect(Number.isFinite(result[70])).toBe(false);
        expect(result.subarray(0, 64).every(Number.isFinite)).toBe(true);
        expect(result.subarray(128).every(Number.isFinite)).toBe(true);
      }
    }
  });

  it("refuses bytes that are not as long as the tensor needs, before it uses one", () => {
    const values = normalValues(130);
    const right = codec.encodedBytes(130);
    for (const length of [0, right - 1, right + 1]) {
      const refusal = expect.objectContaining({ code: "codec-length" });
      const into = new Float32Array(130);
      expect(() => codec.decode(new Uint8Array(length).fill(1), into)).toThrow(refusal);
      expect(into.every((value) => value === 0)).toBe(true);
      expect(() => codec.encode(values, new Uint8Array(length))).toThrow(refusal);
    }
  });

  it("decodes whatever a stranger sends", () => {
    const count = fc.integer({ min: 0, max: 130 });
    const foreign = count.chain((count) => {
      const length = codec.encodedBytes(count);
      return fc.tuple(fc.constant(count), fc.uint8Array({ minLength: length, maxLength: length }));
    });
    fc.assert(
      fc.property(foreign, ([count, bytes]) => {
        expect(decoded(codec, bytes, count)).toHaveLength(count);
      }),
      { seed: 4 },
    );
  });
});
