import { expect, test } from "vitest";
import { BLOCK_MS, blockClock, firstBlock, nextEpoch } from "./clock.ts";

const GENESIS = 1_700_000_000_000;
const DAY_MS = 86_400_000;

test("C3, F6: a clock that was a year ahead and is right again goes on counting, and never back", () => {
  const ahead = firstBlock(GENESIS, GENESIS + 365 * DAY_MS, 0, null);
  let steady = 5_000;
  const block = blockClock(ahead, () => steady);
  steady += 10 * BLOCK_MS;
  expect(block()).toBe(ahead + 10);
  // Set right, and started again an hour later: it stands where it was, and counts on.
  const note = { block: block(), at: GENESIS + 365 * DAY_MS };
  const again = firstBlock(GENESIS, GENESIS + 3_600_000, 7, note);
  expect(again).toBe(note.block);
  const later = blockClock(again, () => steady);
  steady += 3 * BLOCK_MS;
  expect(later()).toBe(note.block + 3);
});

test("a computer that was off for a night has missed the night's blocks", () => {
  const note = { block: 100, at: GENESIS + 100 * BLOCK_MS };
  expect(firstBlock(GENESIS, GENESIS + 100 * BLOCK_MS + DAY_MS, 90, note)).toBe(100 + 7_200);
});

test("no block is before one that money rests on, whatever was noted", () => {
  expect(firstBlock(GENESIS, GENESIS, 5_000, null)).toBe(5_000);
  expect(firstBlock(GENESIS, GENESIS, 5_000, { block: 10, at: GENESIS })).toBe(5_000);
});

test("an epoch ends with the tempo's last block", () => {
  expect([0, 359, 360, 361].map((block) => nextEpoch(block))).toEqual([360, 360, 720, 720]);
});
