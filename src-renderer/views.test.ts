import { expect, test } from "vitest";
import type { HistoryPoint } from "../src-protocol/state.ts";
import { clockFrom } from "./schedule/clock-text.ts";
import { blockOf, moved, placeAt, placeName } from "./schedule/grid-block.ts";
import { untilMorning } from "../src-protocol/pause-choices.ts";
import { customMinutes } from "./frame/custom-minutes.ts";
import { inMode, modeOf, sameRules } from "./schedule/schedule-mode.ts";
import { screenOf } from "./screen.ts";
import { sessionNumbers } from "./home/session-numbers.ts";
import { workingState } from "./state.test-support.ts";
import { towerRows } from "./home/tower-rows.ts";
import { nextChangeText, whyRows } from "./home/why-rows.ts";
import { ALWAYS, ONLY_WHEN_ASLEEP } from "../src-protocol/policy.ts";

test("the tower stands on slice 1, mine is lit, a lost slice says so", () => {
  const { run } = workingState();
  if (run === null) throw new Error("no run");
  const lost = { ...run, stages: run.stages.toSpliced(2, 1, { index: 2, parameterCount: 1, holder: null }) };
  expect(towerRows(lost).map(({ name, kind, holder }) => [name, kind, holder])).toEqual([
    ["Slice 3", "lost", "no home, looking for one"],
    ["Slice 2", "mine", "you"],
    ["Slice 1", "neighbour", "a neighbour on this computer"],
  ]);
});

test("why: what decides comes first, with its mark", () => {
  const rows = whyRows({ action: "pause", reasons: ["outside-schedule", "on-power"], nextChange: null });
  expect(rows.map(({ mark, text }) => [mark, text])).toEqual([
    ["wait", "It is outside your schedule"],
    ["check", "The computer is on power"],
  ]);
});

test("the next change names the day only when it is not today", () => {
  const now = new Date(2026, 10, 23, 14, 5).getTime();
  const change = (at: Date) =>
    nextChangeText(
      { action: "run", reasons: ["always-allowed"], nextChange: { at: at.getTime(), action: "pause" } },
      now,
    );
  expect(change(new Date(2026, 10, 23, 23, 0))).toBe("Pauses at 23:00.");
  expect(change(new Date(2026, 10, 24, 7, 0))).toBe("Pauses tomorrow at 07:00.");
  expect(change(new Date(2026, 10, 26, 7, 0))).toBe("Pauses Thursday at 07:00.");
});

test("this session counts from the daemon's start, not from the run's", () => {
  const point = (step: number, at: number, loss: number): HistoryPoint => ({
    step,
    at,
    loss,
    heldOutLoss: null,
    tokensPerSecond: null,
  });
  const state = { startedAt: 100_000, run: workingState().run };
  const points = [point(1, 5_000, 5), point(10, 101_000, 4), point(11, 103_000, 3.5), point(12, 161_000, 3)];
  expect(sessionNumbers(state, points, 161_000)).toEqual({ tokens: 3 * 3072, workedMs: 60_000, lossFell: 1 });
  expect(sessionNumbers(state, [], 161_000).lossFell).toBeNull();
});

test("until 07:00 is the next 07:00, also after midnight", () => {
  expect(untilMorning(new Date(2026, 10, 23, 22, 0).getTime())).toEqual({
    label: "Until 07:00 tomorrow morning",
    minutes: 540,
  });
  expect(untilMorning(new Date(2026, 10, 23, 2, 0, 30).getTime())).toEqual({
    label: "Until 07:00 this morning",
    minutes: 300,
  });
});

test("a custom time must be whole, at least a minute and at most a week", () => {
  expect(customMinutes("1", "15")).toBe(75);
  expect(customMinutes("", "5")).toBe(5);
  expect(customMinutes("168", "0")).toBe(10_080);
  for (const [hours, minutes] of [
    ["0", "0"],
    ["168", "1"],
    ["0.333", "0"],
    ["-1", "0"],
    ["x", "0"],
  ] as const) {
    expect(customMinutes(hours, minutes)).toBeTypeOf("string");
  }
});

test("the three modes are told apart by the hours themselves", () => {
  expect(modeOf(ALWAYS)).toBe("any");
  expect(modeOf(inMode(ALWAYS, "asleep"))).toBe("asleep");
  expect(modeOf({ ...ONLY_WHEN_ASLEEP, windows: [{ days: ["mon"], from: "01:00", to: "02:00" }] })).toBe(
    "own",
  );
  expect(inMode(ONLY_WHEN_ASLEEP, "any").windows).toEqual(ONLY_WHEN_ASLEEP.windows);
  expect(sameRules(ALWAYS, { ...ALWAYS, idleMinutes: 11 })).toBe(false);
  expect(sameRules(ALWAYS, { ...ALWAYS, limits: { uploadMbit: 5, downloadMbit: null } })).toBe(false);
  expect(sameRules(ALWAYS, { ...ALWAYS })).toBe(true);
});

test("times are read as people type them", () => {
  expect(
    ["7", "700", "0700", "7:00", "07.00", "7h00", " 24:00 "].map((text) => clockFrom(text, "to")),
  ).toEqual(["07:00", "07:00", "07:00", "07:00", "07:00", "07:00", "24:00"]);
  expect(["", "25", "7:60", "24:01", "noon", "7:0"].map((text) => clockFrom(text, "to"))).toEqual([
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
  expect(clockFrom("24:00", "from")).toBeNull();
});

test("a block of the grid is the same from every corner", () => {
  const block = [
    { start: 1440 + 120, end: 1440 + 240 },
    { start: 2880 + 120, end: 2880 + 240 },
  ];
  expect(blockOf({ day: 1, cell: 4 }, { day: 2, cell: 7 })).toEqual(block);
  expect(blockOf({ day: 2, cell: 4 }, { day: 1, cell: 7 })).toEqual(block);
});

test("keys move within the week and never out of it", () => {
  expect(moved({ day: 0, cell: 0 }, "ArrowLeft")).toEqual({ day: 0, cell: 0 });
  expect(moved({ day: 6, cell: 47 }, "ArrowDown")).toEqual({ day: 6, cell: 47 });
  expect(moved({ day: 3, cell: 5 }, "End")).toEqual({ day: 3, cell: 47 });
  expect(moved({ day: 3, cell: 5 }, "a")).toBeNull();
  expect(placeAt(500, -20, 480, 70)).toEqual({ day: 0, cell: 47 });
  expect(placeName({ day: 6, cell: 46 })).toBe("Sunday 23:00 to 23:30");
});

test("an unknown address is Home", () => {
  expect(screenOf("#schedule")).toBe("schedule");
  expect(screenOf("#wallet")).toBe("home");
});
