import { expect, it } from "vitest";
import { DiskPeriod } from "./disk-period.ts";

/** After so many steps of so many milliseconds each: the steps of the last 2,048 whose states go to the disk. */
function written(bytes: number, workers: number, stepMs: number): number[] {
  let now = 0;
  const period = new DiskPeriod(bytes, workers, () => now);
  return Array.from({ length: 3000 }, (_, step) => step + 1).filter((step) => {
    now += stepMs;
    return period.isDue(step) && step > 952;
  });
}

it("a small state goes to the disk at every step: its pages are changed again before they are written", () => {
  expect(written(200_000, 3, 10)).toHaveLength(2048);
});

it("a large one as seldom as the disk of all workers wants it, at steps that a power of two divides", () => {
  const mine = written(9_600_000, 3, 360);
  expect(mine).toEqual(mine.filter((step) => step % 128 === 0));
  expect((3 * 9_600_000 * mine.length) / (2048 * 0.36)).toBeLessThan(0.65e6);
  // Whoever shares its disk with more writes at some of the same steps.
  const others = written(9_600_000, 6, 360);
  expect(others.every((step) => mine.includes(step))).toBe(true);
  expect(others.length).toBeLessThan(mine.length);
});

it("no more than ten minutes lie between two states, however large they are", () => {
  expect(written(40e9, 1, 5_000)).toEqual(written(1e9, 1, 5_000));
  expect(written(40e9, 1, 60_000)).toHaveLength(128);
});
