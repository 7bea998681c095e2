import { expect, test } from "vitest";
import { speedsIn } from "./pipeline-contestant.ts";

/** Two windows of 4 s, with 6 s of standing still between them. */
const WINDOWS = [
  { from: 1_000, to: 5_000 },
  { from: 11_000, to: 15_000 },
];

test("a step that two windows share counts in both", () => {
  // Steps of 3 s at work: ended at 1, 4 and 7 s of it.
  expect(speedsIn(WINDOWS, [2_000, 5_000, 14_000], 300)).toEqual([100, 100]);
});

test("a step that is heard of when the training stands still was the last window's", () => {
  expect(speedsIn(WINDOWS, [2_000, 5_020, 13_000, 15_000], 300)).toEqual([100, 150]);
});

test("what was finished before the first window and behind the last does not count", () => {
  expect(speedsIn(WINDOWS, [500, 3_000, 4_000, 16_000], 100)).toEqual([100, null]);
});

test("one step tells no speed", () => {
  expect(() => speedsIn(WINDOWS, [3_000], 100)).toThrow(/too slow or too busy/);
});
