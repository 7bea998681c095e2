import { describe, expect, it } from "vitest";
import { randomStream } from "../random.ts";
import { f16 } from "./f16.ts";
import { roundTrip } from "./values.test-support.ts";

/** Every binary16 and the float32 values just above, midway and just below the next. */
const neighbours = Array.from({ length: 65_536 }, (_, code) => {
  const [half = 0] = new Float16Array(Uint16Array.of(code).buffer);
  if (!Number.isFinite(half)) return [half];
  const step = stepAt(half);
  return [half, half + step / 2, half + step / 1024, half + step * 0.999];
});
const values = Float32Array.from(neighbours.flat());

describe("f16", () => {
  it("rounds every value as IEEE 754 does", () => {
    expect(roundTrip(f16, values)).toEqual(values.map((value) => Math.f16round(value)));
  });

  it("rounds stochastically to one of the two neighbours only, and not at all what it can say", () => {
    const result = roundTrip(f16, values, randomStream(1));
    const wrong = values.filter((value, i) => !mayBecome(value, result[i] ?? 0));
    expect([...wrong]).toEqual([]);
  });
});

function mayBecome(value: number, result: number): boolean {
  if (Math.f16round(value) === value || Number.isNaN(value)) return Object.is(result, value);
  if (Math.abs(value) > 65_504) return result === Math.sign(value) * Infinity;
  return Math.abs(result - value) < stepAt(value) && Math.f16round(result) === result;
}

function stepAt(value: number): number {
  return Math.max(2 ** -24, 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10));
}
