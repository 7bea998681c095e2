import { expect, it } from "vitest";
import { WritingPace } from "./writing-pace.ts";

/** Which of so many micro-batches are written down, of which each is worked on for so long. */
function written(pace: WritingPace, count: number, workMs: number, writingMs: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter(() => {
    pace.worked(workMs);
    if (!pace.isDue) return false;
    pace.begins();
    pace.took(writingMs);
    return true;
  });
}

it("writes the first at once, then as often as costs a 200th of the work", () => {
  expect(written(new WritingPace(), 10, 33, 0.6)).toEqual([0, 4, 8]);
  expect(written(new WritingPace(), 10, 400, 20)).toEqual([0]);
});

it("writes each where that costs less", () => {
  expect(written(new WritingPace(), 4, 10_000, 40)).toEqual([0, 1, 2, 3]);
  expect(written(new WritingPace(), 4, 1, 0)).toEqual([0, 1, 2, 3]);
});

it("goes by what the last writing took", () => {
  const pace = new WritingPace();
  written(pace, 1, 10, 1);
  expect(written(pace, 20, 10, 0.1)).toEqual([19]);
  expect(written(pace, 4, 10, 0.1)).toEqual([1, 3]);
});
