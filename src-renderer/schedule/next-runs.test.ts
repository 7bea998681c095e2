import { expect, test } from "vitest";
import { ALWAYS, ONLY_WHEN_ASLEEP, type Rules } from "../../src-protocol/policy.ts";
import { daysText, nextRuns, previewOf, weekMinute } from "./next-runs.ts";
import { hoursOf } from "./week-hours.ts";

const berlin = { timeZone: "Europe/Berlin" };
const asleep: Rules = { ...ONLY_WHEN_ASLEEP, ...berlin };
/** Monday 23 November 2026 on Berlin's clocks (UTC+1). */
const at = (clock: string) => Date.parse(`2026-11-23T${clock}:00+01:00`);

test("the week's minutes are those of the rules' zone", () => {
  expect(weekMinute("Europe/Berlin", at("00:30"))).toBe(30);
  // In UTC it is still Sunday 23:30.
  expect(weekMinute("UTC", at("00:30"))).toBe(6 * 1440 + 23 * 60 + 30);
});

test("before the first hour: tonight, tomorrow, then by weekday", () => {
  expect(previewOf(asleep, at("14:05"))).toEqual([
    "It runs next: tonight 23:00–07:00, tomorrow 23:00–07:00 and Wednesday 23:00–07:00. That is 56 hours a week.",
    "Only while the computer is on power.",
  ]);
});

test("inside the hours: until when, and what follows", () => {
  expect(previewOf(asleep, at("02:00"))[0]).toBe(
    "It may run now, until 07:00. After that: tonight 23:00–07:00 and tomorrow 23:00–07:00. That is 56 hours a week.",
  );
});

test("a single window a week comes again in a week", () => {
  const rules: Rules = {
    ...ALWAYS,
    ...berlin,
    schedule: "windows",
    windows: [{ days: ["mon"], from: "10:00", to: "10:30" }],
  };
  expect(previewOf(rules, at("12:00"))[0]).toMatch(/^It runs next: next Monday 10:00–10:30/);
  expect(previewOf(rules, at("12:00"))[0]).toMatch(/That is 0 hours 30 min a week\.$/);
});

test("no hours, all hours and no schedule are said as such", () => {
  const none: Rules = { ...ALWAYS, schedule: "windows" };
  const all: Rules = {
    ...none,
    windows: [{ days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], from: "00:00", to: "24:00" }],
  };
  expect(previewOf(none, 0)).toEqual(["No hours are chosen, so it never runs by itself."]);
  expect(previewOf(all, 0)).toEqual(["Every hour is chosen, so it may run at any time."]);
  expect(previewOf({ ...ALWAYS, onlyWhenIdle: true }, 0)).toEqual([
    "It may run at any hour.",
    "Only after 10 minutes without mouse or keyboard.",
  ]);
});

test("the night from Sunday to Monday is one run, also when seen from within", () => {
  const hours = hoursOf([{ days: ["sun"], from: "23:00", to: "07:00" }]);
  const [now] = nextRuns(hours, 120, 1);
  expect(now).toEqual({ start: -60, end: 420 });
});

test("days read as a person would say them", () => {
  expect(daysText(["mon", "tue", "wed", "thu", "fri"])).toBe("Monday to Friday");
  expect(daysText(["sat", "sun"])).toBe("Saturday and Sunday");
  expect(daysText(["mon", "wed"])).toBe("Monday and Wednesday");
  expect(daysText(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])).toBe("every day");
});
