import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import * as portable from "./portable-math.ts";

/** The worst distance from JavaScript's own, relative to the larger of the value and 1e-300. */
function worst(own: (x: number) => number, theirs: (x: number) => number, from: number, to: number): number {
  let most = 0;
  for (let i = 0; i <= 5000; i++) {
    const x = from + ((to - from) * i) / 5000;
    const expected = theirs(x);
    most = Math.max(most, Math.abs(own(x) - expected) / Math.max(Math.abs(expected), 1e-300));
  }
  return most;
}

describe("functions that are the same on every processor", () => {
  it.each([
    ["exp", portable.exp, Math.exp, -700, 700],
    ["log", portable.log, Math.log, 1e-9, 1e6],
    ["log near 1", portable.log, Math.log, 0.6, 1.5001],
    ["tanh", portable.tanh, Math.tanh, -25, 25],
    ["tanh near 0", portable.tanh, Math.tanh, -0.5, 0.5001],
    ["sin", portable.sin, Math.sin, -3, 3.0001],
    ["cos", portable.cos, Math.cos, -1.5, 1.5],
  ])("%s is right to some units in the last place", (_, own, theirs, from, to) =>
    expect(worst(own, theirs, from, to)).toBeLessThan(2e-15),
  );

  it("sine and cosine stay right for the positions of long texts", () => {
    for (let x = 0; x < 131_072; x += 997) {
      expect(Math.abs(portable.sin(x) - Math.sin(x))).toBeLessThan(1e-15);
      expect(Math.abs(portable.cos(x) - Math.cos(x))).toBeLessThan(1e-15);
    }
  });

  it("powers: whole ones by products, others by exponential and logarithm", () => {
    expect(portable.power(2, -1022)).toBe(2 ** -1022);
    expect(portable.power(3, 4)).toBe(81);
    expect(portable.power(9, 0.5)).toBe(3);
    for (const exponent of [-0.97, -0.25, 0.3, 1.7])
      expect(portable.power(10_000, exponent) / 10_000 ** exponent).toBeCloseTo(1, 13);
  });

  it("keep to the ends of their ranges", () => {
    expect([portable.exp(Number.NEGATIVE_INFINITY), portable.exp(800)]).toEqual([0, Infinity]);
    expect([portable.log(0), portable.log(-1), portable.log(Infinity)]).toEqual([-Infinity, NaN, Infinity]);
    expect(portable.log(5e-324)).toBeCloseTo(Math.log(5e-324), 10);
    expect([portable.tanh(50), portable.tanh(-50), portable.tanh(0)]).toEqual([1, -1, 0]);
  });

  it("give these very bits, on this computer as on all others", () => {
    const values = Float64Array.from({ length: 4000 }, (_, i) => {
      const x = (i - 2000) / 37;
      const each = [
        portable.exp(x),
        portable.log(Math.abs(x)),
        portable.sin(x),
        portable.cos(x),
        portable.tanh(x),
      ];
      return each[i % 5] ?? 0;
    });
    const digest = createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");
    expect(digest).toBe("b09e0b8c2c3581bcc41ba744b26a7792840529c720e0b058deb43009c236017f");
  });
});
