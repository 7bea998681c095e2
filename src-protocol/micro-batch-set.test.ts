import { expect, test } from "vitest";
import { NODE_MESSAGE_LIMIT_BYTES } from "./control.ts";
import {
  areApartWithin,
  isWithin,
  microBatchesOf,
  microBatchSet,
  overlaps,
  overlapsAny,
  setOfMicroBatches,
} from "./micro-batch-set.ts";

const all = (count: number, every = 1): number[] => Array.from({ length: count }, (_, i) => i * every);

test("a set of micro-batches is written in one way, and read again", () => {
  expect(setOfMicroBatches([0, 3, 8])).toBe("0901");
  expect(setOfMicroBatches([8, 3, 0, 3])).toBe("0901");
  expect(microBatchesOf("0901")).toEqual([0, 3, 8]);
  for (const numbers of [[16_383], [0], all(16_384), all(529, 31), all(17, 961), [1, 36, 16_000]])
    expect(microBatchesOf(setOfMicroBatches(numbers))).toEqual(numbers);
  for (const good of ["01", "80", "f0", "0010", setOfMicroBatches([16_383]), ".sg.1"])
    expect(microBatchSet.safeParse(good).success).toBe(true);
  for (const bad of ["", "00", "0100", "1", "0G", setOfMicroBatches([16_384])])
    expect(microBatchSet.safeParse(bad).success).toBe(false);
});

test("few of many are written as what lies between them, and that is not taken where bits are as short", () => {
  expect(setOfMicroBatches([35, 36, 100])).toBe(".10.1.1s");
  expect(microBatchesOf(".10.1.1s")).toEqual([35, 36, 100]);
  for (const bad of [".1", ".0", ".01.sg", ".sg.", ".", "..sg", ".zzz.zzz", ".sg.0", "01.sg", ".SG"])
    expect(microBatchSet.safeParse(bad).success).toBe(false);
});

test("bits are also read where they are longer: earlier versions wrote only them", () => {
  const bits = `${"00".repeat(511)}80`;
  expect(microBatchSet.safeParse(bits).success).toBe(true);
  expect(microBatchesOf(bits)).toEqual([4095]);
});

test("what one of 31 replicas has done of the largest step, by all who used it, fits into a message", () => {
  const own = all(529, 31);
  const parts = all(31).map((peer) => setOfMicroBatches(own.filter((_, at) => at % 31 === peer)));
  const peers = parts.map((part) => ["k".repeat(64), part, "t".repeat(64), "g".repeat(64), "s".repeat(128)]);
  const receipt = JSON.stringify([setOfMicroBatches(own), peers, peers]);
  expect(receipt.length).toBeLessThan(0.5 * NODE_MESSAGE_LIMIT_BYTES);
});

test("one that is too long is refused for that, before anything is made of it", () => {
  const tooLong = ".1".repeat(30_000);
  expect(microBatchSet.safeParse(tooLong).error?.issues.map(({ code }) => code)).toEqual(["too_big"]);
});

test("parts of a whole are told from those that go beyond it or into one another", () => {
  const sets = (...parts: number[][]): string[] => parts.map(setOfMicroBatches);
  expect(areApartWithin(sets([0, 9], [1], [16_383]), [0, 1, 9, 16_383])).toBe(true);
  expect(areApartWithin(sets([0, 9], [1, 2]), [0, 1, 9])).toBe(false);
  expect(areApartWithin(sets([0, 9], [1, 9]), [0, 1, 9])).toBe(false);
  expect(areApartWithin([], [])).toBe(true);
  expect(overlapsAny(setOfMicroBatches([3, 16_383]), sets([0, 9], [16_383]))).toBe(true);
  expect(overlapsAny(setOfMicroBatches([3, 16_383]), sets([0, 9], [16_382]))).toBe(false);
});

test("sets are compared by their members", () => {
  const [some, every, other] = [[1], [0, 1, 9], [0, 2]].map(setOfMicroBatches) as [string, string, string];
  expect([
    isWithin(some, every),
    isWithin(every, some),
    overlaps(every, other),
    overlaps(some, other),
  ]).toEqual([true, false, true, false]);
});
