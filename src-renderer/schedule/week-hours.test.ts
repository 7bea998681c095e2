import fc from "fast-check";
import { expect, test } from "vitest";
import { DAYS, ONLY_WHEN_ASLEEP, type WeeklyWindow } from "../../src-protocol/policy.ts";
import {
  cellOf,
  clockOf,
  hoursOf,
  type Interval,
  minutesPerWeek,
  painted,
  WEEK_MINUTES,
  windowsOf,
} from "./week-hours.ts";

const window = fc.record({
  days: fc.uniqueArray(fc.constantFrom(...DAYS), { minLength: 1, maxLength: 7 }),
  from: fc.integer({ min: 0, max: 1439 }).map(clockOf),
  to: fc.integer({ min: 0, max: 1440 }).map(clockOf),
});

/** The slow and plain way: which minutes of the week are in. */
function minutesIn(windows: readonly WeeklyWindow[]): Set<number> {
  const minutes = new Set<number>();
  for (const { start, end } of hoursOf(windows)) for (let at = start; at < end; at += 1) minutes.add(at);
  return minutes;
}

test("nights from 23:00 to 07:00 stay one window for every day, Sunday's into Monday too", () => {
  const hours = hoursOf(ONLY_WHEN_ASLEEP.windows);
  expect(minutesPerWeek(hours)).toBe(7 * 8 * 60);
  expect(cellOf(hours, 0)).toBe("on");
  expect(cellOf(hours, 10020)).toBe("on");
  expect(cellOf(hours, 3300)).toBe("off");
  expect(windowsOf(hours)).toEqual(ONLY_WHEN_ASLEEP.windows);
});

test("windows made from hours allow exactly those hours", () => {
  fc.assert(
    fc.property(fc.array(window, { maxLength: 8 }), (windows) => {
      expect(hoursOf(windowsOf(hoursOf(windows)))).toEqual(hoursOf(windows));
    }),
    { seed: 11, numRuns: 500 },
  );
});

test("hours are sorted and never touch each other", () => {
  fc.assert(
    fc.property(fc.array(window, { maxLength: 8 }), (windows) => {
      const hours = hoursOf(windows);
      hours.forEach(({ start, end }, index) => {
        expect(start).toBeLessThan(end);
        expect(end).toBeLessThanOrEqual(WEEK_MINUTES);
        expect(start).toBeGreaterThan(hours[index - 1]?.end ?? -1);
      });
    }),
    { seed: 12, numRuns: 300 },
  );
});

test("painting changes the painted minutes and no others", () => {
  const range = fc
    .tuple(fc.integer({ min: 0, max: 335 }), fc.integer({ min: 1, max: 48 }))
    .map(([slot, length]): Interval => ({
      start: slot * 30,
      end: Math.min(WEEK_MINUTES, (slot + length) * 30),
    }));
  fc.assert(
    fc.property(fc.array(window, { maxLength: 4 }), range, fc.boolean(), (windows, { start, end }, on) => {
      const before = minutesIn(windows);
      const after = minutesIn(windowsOf(painted(hoursOf(windows), { start, end }, on)));
      const wrong: number[] = [];
      for (let at = 0; at < WEEK_MINUTES; at += 1) {
        if (after.has(at) !== (at >= start && at < end ? on : before.has(at))) wrong.push(at);
      }
      expect(wrong).toEqual([]);
    }),
    { seed: 13, numRuns: 200 },
  );
});

test("a window to the minute survives painting elsewhere and shows as a part of its half hour", () => {
  const hours = hoursOf([{ days: ["mon"], from: "22:15", to: "06:10" }]);
  expect([cellOf(hours, 1320), cellOf(hours, 1350), cellOf(hours, 1800)]).toEqual(["part", "on", "part"]);
  expect(windowsOf(painted(hours, { start: 5000, end: 5030 }, true))).toContainEqual({
    days: ["mon"],
    from: "22:15",
    to: "06:10",
  });
});

test("the whole week is every day from 00:00 to 24:00", () => {
  const whole: WeeklyWindow[] = [{ days: [...DAYS], from: "00:00", to: "24:00" }];
  expect(windowsOf([{ start: 0, end: WEEK_MINUTES }])).toEqual(whole);
  expect(windowsOf(hoursOf(whole))).toEqual(whole);
});

test("hours longer than a day are cut at midnight", () => {
  expect(windowsOf([{ start: 4 * 1440 + 1200, end: 6 * 1440 + 600 }])).toEqual([
    { days: ["fri"], from: "20:00", to: "24:00" },
    { days: ["sat"], from: "00:00", to: "24:00" },
    { days: ["sun"], from: "00:00", to: "10:00" },
  ]);
});
