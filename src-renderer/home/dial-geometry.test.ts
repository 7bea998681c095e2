import { expect, test } from "vitest";
import { arcPath, comingSpans, dialPoint, gapBetween, ranSpans } from "./dial-geometry.ts";
import { hoursOf } from "../schedule/week-hours.ts";
import { ONLY_WHEN_ASLEEP } from "../../src-protocol/policy.ts";

test("midnight is up, six is right, noon is down", () => {
  expect(dialPoint(0, 100)).toEqual({ x: 0, y: -100 });
  expect(dialPoint(360, 100)).toEqual({ x: 100, y: -0 });
  expect(dialPoint(720, 100)).toEqual({ x: 0, y: 100 });
});

test("a night is one short arc over midnight, a long day takes the long way round", () => {
  expect(arcPath({ start: 1380, end: 1860 }, 100)).toBe("M-25.88 -96.59A100 100 0 0 1 96.59 25.88");
  expect(arcPath({ start: 0, end: 1000 }, 100)).toContain(" 0 1 1 ");
  expect(arcPath({ start: 5, end: 5 }, 100)).toBe("");
});

test("a whole day is a closed ring", () => {
  expect(arcPath({ start: 0, end: 1440 }, 10)).toBe("M0 -10A10 10 0 0 1 0 10A10 10 0 0 1 0 -10Z");
});

test("only the coming 24 hours are on the dial", () => {
  const nights = hoursOf(ONLY_WHEN_ASLEEP.windows);
  expect(comingSpans(nights, 14 * 60)).toEqual([{ start: 1380, end: 1860 }]);
  // In the middle of a night: what is left of it, and the beginning of the next one.
  expect(comingSpans(nights, 120)).toEqual([
    { start: 120, end: 420 },
    { start: 1380, end: 1560 },
  ]);
});

test("the night from Sunday to Monday is not cut at the end of the week", () => {
  expect(comingSpans(hoursOf(ONLY_WHEN_ASLEEP.windows), 6 * 1440 + 840)).toEqual([
    { start: 1380, end: 1860 },
  ]);
});

test("finished steps become stretches of work, breaks stay open", () => {
  const now = Date.parse("2026-11-23T12:00:00Z");
  const minute = 60_000;
  const times = [now - 90 * minute, now - 89 * minute, now - 88 * minute, now - 10 * minute, now];
  expect(ranSpans(times, now, 720, 11 * minute)).toEqual([
    { start: 630, end: 632 },
    { start: 710, end: 720 },
  ]);
  expect(ranSpans([now - 25 * 60 * minute], now, 720, minute)).toEqual([]);
});

test("thinned points still count as one stretch", () => {
  expect(gapBetween([0, 1000, 2000])).toBe(120_000);
  expect(gapBetween([0, 100_000, 200_000, 300_000])).toBe(300_000);
});
