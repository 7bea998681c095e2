import { expect, test } from "vitest";
import { isWithin, microBatchesOf, microBatchSet, overlaps, setOfMicroBatches } from "./micro-batch-set.ts";

test("a set of micro-batches is written in one way, and read again", () => {
  expect(setOfMicroBatches([0, 3, 8])).toBe("0901");
  expect(setOfMicroBatches([8, 3, 0, 3])).toBe("0901");
  expect(microBatchesOf("0901")).toEqual([0, 3, 8]);
  expect(microBatchesOf(setOfMicroBatches([4095]))).toEqual([4095]);
  for (const good of ["01", "80", "f0", "0010", setOfMicroBatches([4095])])
    expect(microBatchSet.safeParse(good).success).toBe(true);
  for (const bad of ["", "00", "0100", "1", "0G", setOfMicroBatches([4096])])
    expect(microBatchSet.safeParse(bad).success).toBe(false);
});

test("sets are compared by their members", () => {
  const [some, all, other] = [[1], [0, 1, 9], [0, 2]].map(setOfMicroBatches) as [string, string, string];
  expect([isWithin(some, all), isWithin(all, some), overlaps(all, other), overlaps(some, other)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
});
