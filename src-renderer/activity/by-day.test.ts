import { expect, test } from "vitest";
import { byDay, dayText } from "./by-day.ts";

const at = (day: number, hour: number) => new Date(2026, 10, day, hour, 5, 9).getTime();

test("entries stand under their day, newest first", () => {
  const activity = [
    { at: at(28, 7), kind: "work" as const, text: "Working" },
    { at: at(27, 23), kind: "work" as const, text: "Training goes on from step 5." },
    { at: at(27, 22), kind: "hand" as const, text: "Paused" },
    { at: at(20, 1), kind: "network" as const, text: "Joined." },
  ];
  expect(
    byDay(activity, at(28, 9)).map(({ day, entries }) => [day, entries.map(({ clock }) => clock)]),
  ).toEqual([
    ["Today", ["07:05:09"]],
    ["Yesterday", ["23:05:09", "22:05:09"]],
    ["Friday 20 November", ["01:05:09"]],
  ]);
});

test("midnight is a day's beginning, whatever the hours between", () => {
  expect(dayText(at(27, 23), at(28, 0))).toBe("Yesterday");
});
