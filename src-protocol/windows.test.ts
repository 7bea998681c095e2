import { describe, expect, it } from "vitest";
import { ALWAYS, DAYS, type Rules, type WeeklyWindow } from "./rules.ts";
import { allowedBetween, hoursOfRules, inWindow, limitsAt, nextBoundary, nextEdge } from "./windows.ts";

const HOUR = 3_600_000;
const nightly: WeeklyWindow[] = [{ days: [...DAYS], from: "23:00", to: "07:00" }];
const daily = (from: string, to: string): WeeklyWindow[] => [{ days: [...DAYS], from, to }];

/** Opening and closing after `after`, in UTC, and the hours between. */
function next(windows: WeeklyWindow[], zone: string, after: string): [string, string, number] {
  const opens = nextBoundary({ windows, exceptions: [] }, zone, Date.parse(after));
  const closes = opens === null ? null : nextBoundary({ windows, exceptions: [] }, zone, opens.at);
  if (opens === null || closes === null || !opens.opens || closes.opens) throw new Error("no window");
  const text = (at: number): string => new Date(at).toISOString().slice(0, 16);
  return [text(opens.at), text(closes.at), (closes.at - opens.at) / HOUR];
}

describe("23:00–07:00 on the nights when the clocks change", () => {
  it.each([
    ["Berlin, spring", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-28T22:00", "2026-03-29T05:00", 7],
    ["Berlin, autumn", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-24T21:00", "2026-10-25T06:00", 9],
    ["New York, spring", "America/New_York", "2026-03-07T18:00Z", "2026-03-08T04:00", "2026-03-08T11:00", 7],
    ["New York, autumn", "America/New_York", "2026-10-31T18:00Z", "2026-11-01T03:00", "2026-11-01T12:00", 9],
    [
      "Lord Howe, spring (30 minutes)",
      "Australia/Lord_Howe",
      "2026-10-03T06:00Z",
      "2026-10-03T12:30",
      "2026-10-03T20:00",
      7.5,
    ],
    [
      "Lord Howe, autumn (30 minutes)",
      "Australia/Lord_Howe",
      "2026-04-04T06:00Z",
      "2026-04-04T12:00",
      "2026-04-04T20:30",
      8.5,
    ],
    [
      "Kathmandu (+05:45, never changes)",
      "Asia/Kathmandu",
      "2026-03-28T12:00Z",
      "2026-03-28T17:15",
      "2026-03-29T01:15",
      8,
    ],
    ["an ordinary night", "Europe/Berlin", "2026-06-10T12:00Z", "2026-06-10T21:00", "2026-06-11T05:00", 8],
  ])("%s", (_, zone, after, opens, closes, hours) => {
    expect(next(nightly, zone, after)).toEqual([opens, closes, hours]);
  });
});

describe("a boundary inside the hour that changes (Berlin)", () => {
  it.each([
    [
      "starts in the skipped hour: at 03:00",
      "02:30",
      "05:00",
      "2026-03-28T12:00Z",
      "2026-03-29T01:00",
      "2026-03-29T03:00",
      2,
    ],
    [
      "ends in the skipped hour: at 03:00",
      "00:30",
      "02:30",
      "2026-03-28T12:00Z",
      "2026-03-28T23:30",
      "2026-03-29T01:00",
      1.5,
    ],
    [
      "starts in the doubled hour: at the first 02:30",
      "02:30",
      "05:00",
      "2026-10-24T12:00Z",
      "2026-10-25T00:30",
      "2026-10-25T04:00",
      3.5,
    ],
    [
      "ends in the doubled hour: at the last 02:30",
      "00:30",
      "02:30",
      "2026-10-24T12:00Z",
      "2026-10-24T22:30",
      "2026-10-25T01:30",
      3,
    ],
    [
      "lies in the doubled hour: from the first to the last",
      "02:15",
      "02:45",
      "2026-10-24T12:00Z",
      "2026-10-25T00:15",
      "2026-10-25T01:45",
      1.5,
    ],
  ])("%s", (_, from, to, after, opens, closes, hours) => {
    expect(next(daily(from, to), "Europe/Berlin", after)).toEqual([opens, closes, hours]);
  });

  it("lies wholly in the skipped hour: that day has none", () => {
    expect(next(daily("02:15", "02:45"), "Europe/Berlin", "2026-03-28T12:00Z")[0]).toBe("2026-03-30T00:15");
  });
});

describe("weekly windows", () => {
  const at = (text: string): number => Date.parse(`${text}Z`);

  it("an overnight window belongs to the day it starts on", () => {
    const friday: WeeklyWindow[] = [{ days: ["fri"], from: "22:00", to: "06:00" }];
    expect(inWindow({ windows: friday, exceptions: [] }, "UTC", at("2026-11-27T05:00"))).toBe(false);
    expect(inWindow({ windows: friday, exceptions: [] }, "UTC", at("2026-11-27T22:00"))).toBe(true);
    expect(inWindow({ windows: friday, exceptions: [] }, "UTC", at("2026-11-28T05:59"))).toBe(true);
    expect(inWindow({ windows: friday, exceptions: [] }, "UTC", at("2026-11-28T06:00"))).toBe(false);
    expect(inWindow({ windows: friday, exceptions: [] }, "UTC", at("2026-11-28T23:00"))).toBe(false);
  });

  it("windows that overlap or touch are one", () => {
    const windows: WeeklyWindow[] = [
      { days: ["mon"], from: "09:00", to: "12:00" },
      { days: ["mon"], from: "11:00", to: "14:00" },
      { days: ["mon"], from: "14:00", to: "24:00" },
      { days: ["tue"], from: "00:00", to: "01:00" },
    ];
    expect(nextBoundary({ windows, exceptions: [] }, "UTC", at("2026-11-23T09:30"))).toEqual({
      at: at("2026-11-24T01:00"),
      opens: false,
    });
  });

  it("24:00 is midnight, and the same time twice is a whole day", () => {
    expect(next([{ days: ["sat"], from: "20:00", to: "24:00" }], "UTC", "2026-11-23T00:00Z")).toEqual([
      "2026-11-28T20:00",
      "2026-11-29T00:00",
      4,
    ]);
    expect(next([{ days: ["sat"], from: "08:00", to: "07:59" }], "UTC", "2026-11-23T00:00Z")[2]).toBeCloseTo(
      24,
      1,
    );
  });

  it("the whole week, or no window, has no boundary", () => {
    expect(
      nextBoundary(
        { windows: daily("00:00", "24:00"), exceptions: [] },
        "Europe/Berlin",
        at("2026-03-20T12:00"),
      ),
    ).toBeNull();
    expect(
      inWindow({ windows: daily("00:00", "24:00"), exceptions: [] }, "Europe/Berlin", at("2026-03-29T01:00")),
    ).toBe(true);
    expect(nextBoundary({ windows: [], exceptions: [] }, "Europe/Berlin", at("2026-03-20T12:00"))).toBeNull();
  });

  it("is quick enough to be asked every second", () => {
    const many: WeeklyWindow[] = Array.from({ length: 64 }, (_, index) => ({
      days: [...DAYS],
      from: `${String(index % 24).padStart(2, "0")}:00`,
      to: `${String(index % 24).padStart(2, "0")}:30`,
    }));
    const started = performance.now();
    for (let second = 0; second < 100; second += 1) {
      nextBoundary(
        { windows: many, exceptions: [] },
        "Europe/Berlin",
        at("2026-03-28T12:00") + second * 1000,
      );
    }
    expect((performance.now() - started) / 100).toBeLessThan(200);
  });
});

describe("dates that are not like every week", () => {
  const windows: WeeklyWindow[] = [...nightly, { days: ["thu"], from: "12:00", to: "14:00" }];
  const not = (date: string, ...others: [string, string][]) => ({
    windows,
    exceptions: [{ date, windows: others.map(([from, to]) => ({ from, to })) }],
  });
  const at = (text: string) => Date.parse(`${text}+01:00`);

  it("what begins on the date does not; the night before goes on to its end", () => {
    const hours = not("2026-12-24");
    expect(inWindow(hours, "Europe/Berlin", at("2026-12-24T03:00"))).toBe(true);
    expect(inWindow(hours, "Europe/Berlin", at("2026-12-24T12:30"))).toBe(false);
    expect(inWindow(hours, "Europe/Berlin", at("2026-12-24T23:30"))).toBe(false);
    expect(nextBoundary(hours, "Europe/Berlin", at("2026-12-24T08:00"))).toEqual({
      at: at("2026-12-25T23:00"),
      opens: true,
    });
  });

  it("other hours on the date, over midnight too", () => {
    const hours = not("2026-12-31", ["08:00", "10:00"], ["22:00", "02:00"]);
    expect(
      allowedBetween(hours, "Europe/Berlin", at("2026-12-31T07:30"), at("2027-01-01T12:00")).map(
        ({ start, end }) => [new Date(start).toISOString(), new Date(end).toISOString()],
      ),
    ).toEqual([
      ["2026-12-31T07:00:00.000Z", "2026-12-31T09:00:00.000Z"],
      ["2026-12-31T21:00:00.000Z", "2027-01-01T01:00:00.000Z"],
    ]);
  });

  it("hold for any time too: that day is left out, from midnight to midnight", () => {
    const hours = hoursOfRules({
      ...ALWAYS,
      exceptions: [{ date: "2026-12-24", windows: [] }],
    });
    expect(nextBoundary(hours, "Europe/Berlin", at("2026-12-20T12:00"))).toEqual({
      at: at("2026-12-24T00:00"),
      opens: false,
    });
    expect(inWindow(hours, "Europe/Berlin", at("2026-12-24T23:59"))).toBe(false);
    expect(inWindow(hours, "Europe/Berlin", at("2026-12-25T00:00"))).toBe(true);
  });
});

describe("limits of a window", () => {
  const rules: Rules = {
    ...ALWAYS,
    schedule: "windows",
    windows: [
      {
        days: [...DAYS],
        from: "22:00",
        to: "08:00",
        limits: { quiet: true, cores: 4, memoryMegabytes: 2000 },
      },
      { days: [...DAYS], from: "06:00", to: "12:00", limits: { uploadMbit: 5, gpu: false } },
    ],
    work: { ...ALWAYS.work, cores: 6 },
    limits: { uploadMbit: 20, downloadMbit: null },
  };
  const limits = (text: string) => limitsAt(rules, "UTC", Date.parse(`${text}Z`));

  it("of all that hold at a time, the strictest of each counts", () => {
    const always = { ...ALWAYS.work, cores: 6, uploadMbit: 20, downloadMbit: null };
    expect(limits("2026-11-23T15:00")).toEqual(always);
    expect(limits("2026-11-23T23:00")).toEqual({ ...always, cores: 4, quiet: true, memoryMegabytes: 2000 });
    expect(limits("2026-11-24T07:00")).toEqual({
      ...always,
      cores: 4,
      quiet: true,
      memoryMegabytes: 2000,
      gpu: false,
      uploadMbit: 5,
    });
  });

  it("each edge is a moment to look again, also where the windows touch", () => {
    const edges = [];
    for (let at: number | null = Date.parse("2026-11-23T12:00Z"); edges.length < 4 && at !== null;) {
      at = nextEdge(hoursOfRules(rules), "UTC", at);
      edges.push(at === null ? null : new Date(at).toISOString().slice(11, 16));
    }
    expect(edges).toEqual(["22:00", "06:00", "08:00", "12:00"]);
  });
});
