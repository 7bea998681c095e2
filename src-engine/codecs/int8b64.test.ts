import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomStream } from "../random.ts";
import { BLOCK, scaleOf } from "./block-scale.ts";
import { int8b64 } from "./int8b64.ts";
import { encoded, normalValues, roundTrip } from "./values.test-support.ts";

describe("int8b64", () => {
  it("is off by at most half a step, stochastically by less than one, of each value's own block", () => {
    const value = fc.float({ noNaN: true, noDefaultInfinity: true });
    const tensor = fc.array(value, { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(tensor, fc.boolean(), (list, stochastic) => {
        const values = Float32Array.from(list);
        const random = stochastic ? randomStream(1) : undefined;
        const bytes = encoded(int8b64, values, random);
        const result = roundTrip(int8b64, values, stochastic ? randomStream(1) : undefined);
        for (const [i, exact] of values.entries()) {
          const at = 2 * Math.floor(i / BLOCK);
          const step = scaleOf((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8));
          const from = i - (i % BLOCK);
          const largest = Math.max(...values.subarray(from, from + BLOCK).map(Math.abs));
          expect(step * 127).toBeGreaterThanOrEqual(largest);
          // Below 2⁻¹²⁶ a scale has fewer bits.
          expect(step * 127).toBeLessThanOrEqual(Math.max(largest * (1 + 2 ** -7), 2 ** -119));
          // The last factor is the rounding of the product to float32.
          const bound = (stochastic ? step : step / 2) * (1 + 1e-5);
          expect(Math.abs((result[i] ?? 0) - exact)).toBeLessThanOrEqual(bound);
        }
      }),
      { seed: 6 },
    );
  });

  it("never leaves the eight bits, also when the largest value is drawn up", () => {
    const values = new Float32Array(64_000).map((_, i) => (i % 2 ? 1 : -1) * (1 + Math.floor(i / 64) / 1000));
    const random = randomStream(3);
    for (let t = 0; t < 20; t++) {
      const integers = new Int8Array(encoded(int8b64, values, random).buffer).subarray(2000);
      expect(integers.every((integer, i) => integer !== -128 && integer > 0 === i % 2 > 0)).toBe(true);
    }
  });

  it("is laid out as its docstring says: scales, then integers", () => {
    const values = new Float32Array(65);
    values.set([127, -127, 63.5, 1.5, 2.5]);
    values[64] = -2 * 127;
    const scales = [0x80, 0x3f, 0x00, 0x40];
    const integers = Int8Array.of(127, -127, 64, 2, 2, ...new Int8Array(59), -127);
    expect([...encoded(int8b64, values)]).toEqual([...scales, ...new Uint8Array(integers.buffer)]);
  });

  it("does not let an outlier harm another block", () => {
    const values = normalValues(128);
    const alone = roundTrip(int8b64, values).subarray(64);
    values[3] = 1e6;
    expect(roundTrip(int8b64, values).subarray(64)).toEqual(alone);
  });
});
