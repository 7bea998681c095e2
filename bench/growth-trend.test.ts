import { expect, it } from "vitest";
import { goesOn, trendOf } from "./growth-trend.ts";
import type { MemoryPoint } from "./growth-trend.ts";

const COLLECTED_EVERY_MS = 60_000;
const STEPS_A_SECOND = 3;
const HELD = 300e6;
const IN_30_DAYS = { heldBytes: HELD, steps: 260_000 * 30, allowedBytes: 256e6 };
/** What is left between two collections, and goes with them. */
const TOOTH_BYTES = 20e6;

/** So many seconds, each with a look; `more`: what it holds beside its teeth, of the share of the time that has passed. */
function grows(seconds: number, more: (share: number) => number): boolean | null {
  const points = Array.from({ length: seconds }, (_, second): MemoryPoint => {
    const tooth = ((second * 1000) % COLLECTED_EVERY_MS) / COLLECTED_EVERY_MS;
    const waver = 2e6 * Math.sin(second);
    return [second * STEPS_A_SECOND, HELD + tooth * TOOTH_BYTES + waver + more(second / seconds)];
  });
  const trend = trendOf(points, seconds * 1000, COLLECTED_EVERY_MS);
  return trend === null ? null : goesOn(trend, IN_30_DAYS);
}

it("memory that goes up and is collected again does not grow", () => {
  expect(grows(378, () => 0)).toBe(false);
});

it("what is lost at each step is growth, also within the teeth of what is collected", () => {
  expect(grows(378, (share) => 25e6 * share)).toBe(true);
});

it("what is lost from some time on is growth", () => {
  expect(grows(600, (share) => 60e6 * Math.max(0, share - 0.5))).toBe(true);
});

it("what a process comes to have once is no growth: it has come to its end before the later half", () => {
  expect(grows(600, (share) => 60e6 * Math.min(share, 0.4))).toBe(false);
});

it("and what still rises may have no end", () => {
  expect(grows(600, (share) => 40e6 * Math.sqrt(share))).toBe(true);
});

it("a time in which too little was collected tells nothing", () => {
  expect(grows(200, (share) => 100e6 * share)).toBe(null);
});
