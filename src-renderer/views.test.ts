import { expect, test } from "vitest";
import { clockFrom } from "./schedule/clock-text.ts";
import { blockOf, moved, placeAt, placeName } from "./schedule/grid-block.ts";
import { untilMorning } from "../src-protocol/pause-choices.ts";
import { centreOf } from "./home/dial.tsx";
import { customMinutes } from "./frame/custom-minutes.ts";
import { inMode, modeOf, sameRules } from "./schedule/schedule-mode.ts";
import { screenOf } from "./screen.ts";
import { workingState } from "../src-protocol/working-state.test-support.ts";
import { towerRows } from "./home/tower-rows.ts";
import { nextText } from "../src-protocol/why.ts";
import { whyRows } from "./home/why-rows.ts";
import { ALWAYS, ONLY_WHEN_ASLEEP } from "../src-protocol/policy.ts";

test("the tower stands on slice 1, mine is lit, a lost slice says so", () => {
  const { run } = workingState();
  if (run === null) throw new Error("no run");
  const lost = { ...run, stages: run.stages.toSpliced(2, 1, { index: 2, parameterCount: 1, holder: null }) };
  expect(towerRows(lost, false).map(({ name, kind, holder }) => [name, kind, holder])).toEqual([
    ["Slice 3", "lost", "no home, looking for one"],
    ["Slice 2", "mine", "you"],
    ["Slice 1", "neighbour", "a neighbour on this computer"],
  ]);
});

test("the dial says how long this lasts, and the time where nothing changes", () => {
  const now = new Date(2026, 10, 23, 14, 5).getTime();
  const at = new Date(2026, 10, 23, 23, 0).getTime();
  const run = { action: "run" as const, reasons: [], nextChange: { at, action: "pause" as const } };
  const working = { tone: "working", word: "Working" } as const;
  const wait = { action: "pause" as const, reasons: [], nextChange: { at, action: "run" as const } };
  expect(centreOf(run, working, 845, now)).toEqual({ centre: "23:00", word: "Working until" });
  expect(centreOf(wait, { tone: "waiting", word: "Waiting" }, 845, now)).toEqual({
    centre: "8:55 h",
    word: "Waiting, starts in",
  });
  expect(centreOf({ ...run, nextChange: null }, working, 845, now).centre).toBe("14:05");
});

test("a tower at rest is no breakdown", () => {
  const { run } = workingState();
  if (run === null) throw new Error("no run");
  const stages = run.stages.map(({ holder, ...stage }) => ({
    ...stage,
    holder: holder && { ...holder, connected: false },
  }));
  expect(towerRows({ ...run, stages }, true).map(({ kind, holder }) => [kind, holder])).toEqual([
    ["resting", "a neighbour, resting"],
    ["resting", "you, resting"],
    ["resting", "a neighbour, resting"],
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
    nextText(
      {
        decision: {
          action: "run",
          reasons: ["always-allowed"],
          nextChange: { at: at.getTime(), action: "pause" },
        },
        override: null,
      },
      now,
    );
  expect(change(new Date(2026, 10, 23, 23, 0))).toBe("Pauses at 23:00.");
  expect(change(new Date(2026, 10, 24, 7, 0))).toBe("Pauses tomorrow at 07:00.");
  expect(change(new Date(2026, 10, 26, 7, 0))).toBe("Pauses Thursday at 07:00.");
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
  expect(inMode(ALWAYS, "own").windows).toEqual(ONLY_WHEN_ASLEEP.windows);
  expect(sameRules(ALWAYS, { ...ALWAYS, idleMinutes: 11 })).toBe(false);
  expect(sameRules(ALWAYS, { ...ALWAYS, limits: { uploadMbit: 5, downloadMbit: null } })).toBe(false);
  expect(sameRules(ALWAYS, { ...ALWAYS, work: { ...ALWAYS.work, cores: 2 } })).toBe(false);
  expect(sameRules(ALWAYS, { ...ALWAYS, exceptions: [{ date: "2026-12-24", windows: [] }] })).toBe(false);
  expect(
    sameRules(ALWAYS, { ...ALWAYS, windows: [], limits: { downloadMbit: null, uploadMbit: null } }),
  ).toBe(true);
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
    { start: 1440 + 840, end: 1440 + 960 },
    { start: 2880 + 840, end: 2880 + 960 },
  ];
  expect(blockOf({ day: 1, cell: 4 }, { day: 2, cell: 7 })).toEqual(block);
  expect(blockOf({ day: 2, cell: 4 }, { day: 1, cell: 7 })).toEqual(block);
});

test("a row is a night, from noon to noon; Sunday's ends in Monday's morning", () => {
  expect(blockOf({ day: 0, cell: 22 }, { day: 0, cell: 37 })).toEqual([{ start: 1380, end: 1860 }]);
  expect(blockOf({ day: 6, cell: 22 }, { day: 6, cell: 37 })).toEqual([
    { start: 6 * 1440 + 1380, end: 7 * 1440 },
    { start: 0, end: 420 },
  ]);
  expect(blockOf({ day: 6, cell: 30 }, { day: 6, cell: 31 })).toEqual([{ start: 180, end: 240 }]);
  expect(placeName({ day: 6, cell: 22 })).toBe("Sunday 23:00 to 23:30");
  expect(placeName({ day: 6, cell: 47 })).toBe("Monday 11:30 to 12:00");
});

test("keys move within the week and never out of it", () => {
  expect(moved({ day: 0, cell: 0 }, "ArrowLeft")).toEqual({ day: 0, cell: 0 });
  expect(moved({ day: 6, cell: 47 }, "ArrowDown")).toEqual({ day: 6, cell: 47 });
  expect(moved({ day: 3, cell: 5 }, "End")).toEqual({ day: 3, cell: 47 });
  expect(moved({ day: 3, cell: 5 }, "a")).toBeNull();
  expect(placeAt(500, -20, 480, 70)).toEqual({ day: 0, cell: 47 });
});

test("an unknown address is Home", () => {
  expect(screenOf("#schedule")).toBe("schedule");
  expect(screenOf("#activity/money")).toBe("activity");
  expect(screenOf("#nowhere")).toBe("home");
});
