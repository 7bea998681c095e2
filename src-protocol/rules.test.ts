import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Failure } from "./failure.ts";
import { ALWAYS, DAYS, migratedRules, type Rules, rules, type WeeklyWindow } from "./rules.ts";
import { parseWindow, rulesText, windowText } from "./rules-text.ts";

const refused = (change: object): string =>
  rules.safeParse({ ...ALWAYS, ...change }).error?.issues[0]?.message ?? "it was taken";
const nine: WeeklyWindow = { days: ["mon"], from: "09:00", to: "09:00" };

describe("rules that cannot be meant", () => {
  it.each([
    ["start = end", { windows: [nine] }, /all day .*00:00 to 24:00.* or never/],
    [
      "the same on a date",
      { exceptions: [{ date: "2026-12-24", windows: [{ from: "09:00", to: "09:00" }] }] },
      /or never/,
    ],
    [
      "a date that does not exist",
      { exceptions: [{ date: "2026-02-30", windows: [] }] },
      /a date that exists/,
    ],
    [
      "a date twice",
      {
        exceptions: [
          { date: "2026-12-24", windows: [] },
          { date: "2026-12-24", windows: [] },
        ],
      },
      /twice/,
    ],
    [
      "a battery that starts below where it stops",
      { battery: { stopBelow: 70, startFrom: 70 } },
      /stops below less/,
    ],
    ["heat the wrong way round", { heat: { stopFrom: 80, startBelow: 80 } }, /starts below less/],
    ["load the wrong way round", { load: { stopFrom: 20, startBelow: 30 } }, /starts below less/],
    ["a country that is none", { country: "ZZ" }, /ISO 3166-1/],
    ["no core at all", { work: { ...ALWAYS.work, cores: 0 } }, /./],
  ])("%s", (_, change, message) => {
    expect(refused(change)).toMatch(message);
  });

  it("are named by the place in the rules", () => {
    const issue = rules.safeParse({ ...ALWAYS, windows: [nine] }).error?.issues[0];
    expect(issue?.path).toEqual(["windows", 0, "to"]);
  });
});

describe("rules of an earlier version", () => {
  const old = {
    schedule: "windows",
    onlyOnPower: true,
    onlyWhenIdle: false,
    idleMinutes: 10,
    timeZone: null,
  };
  const read = (stored: object): Rules => rules.parse(migratedRules(stored));

  it("have the new rules' defaults", () => {
    const { schedule, windows, onlyOnPower, ...others } = read({ ...old, windows: [] });
    expect([schedule, windows, onlyOnPower]).toEqual(["windows", [], true]);
    expect(others).toEqual((({ schedule: _s, windows: _w, onlyOnPower: _p, ...rest }) => rest)(ALWAYS));
  });

  it("meant a whole day by start = end, and still do", () => {
    expect(read({ ...old, windows: [{ days: ["mon", "sun"], from: "09:00", to: "09:00" }] }).windows).toEqual(
      [
        { days: ["mon", "sun"], from: "09:00", to: "24:00" },
        { days: ["tue", "mon"], from: "00:00", to: "09:00" },
      ],
    );
    expect(read({ ...old, windows: [{ days: ["mon"], from: "00:00", to: "00:00" }] }).windows).toEqual([
      { days: ["mon"], from: "00:00", to: "24:00" },
    ]);
  });

  it("anything else is left for the schema to judge", () => {
    for (const odd of [null, 7, "x", { windows: 3 }, { ...old, windows: [{ days: [], from: "a", to: "a" }] }])
      expect(rules.safeParse(migratedRules(odd)).success).toBe(false);
  });
});

describe("windows in words", () => {
  it.each([
    ["mon-fri 22:00-07:00", { days: ["mon", "tue", "wed", "thu", "fri"], from: "22:00", to: "07:00" }],
    ["22:00-07:00", { days: [...DAYS], from: "22:00", to: "07:00" }],
    ["fri-mon 8:00-9:30", { days: ["mon", "fri", "sat", "sun"], from: "08:00", to: "09:30" }],
    [
      "sat,sunday 00:00-24:00 cores=2 up=5.5 no-gpu quiet",
      {
        days: ["sat", "sun"],
        from: "00:00",
        to: "24:00",
        limits: { cores: 2, uploadMbit: 5.5, gpu: false, quiet: true },
      },
    ],
  ])("%s", (text, window) => {
    expect(parseWindow(text)).toEqual(window);
  });

  it.each([
    ["mon 9:00-9:00", /all day .* or never/],
    ["someday 9:00-10:00", /"someday" is no day; those are mon,/],
    ["mon 9-10", /it needs hours like 22:00-07:00/],
    ["mon 9:00-10:00 fast", /"fast" is no limit; those are cores=2/],
    ["mon 25:00-26:00", /a time from/],
    ["", /it needs hours/],
  ])("%s is refused with what to write", (text, message) => {
    let failure: unknown;
    try {
      parseWindow(text);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(Failure);
    expect((failure as Failure).message).toMatch(message);
  });

  it("what is printed reads as the same window", () => {
    const clock = fc
      .integer({ min: 0, max: 1439 })
      .map((m) => `${String(Math.floor(m / 60)).padStart(2, "0")}:${String(m % 60).padStart(2, "0")}`);
    const limits = fc.record(
      {
        cores: fc.integer({ min: 1, max: 64 }),
        uploadMbit: fc.integer({ min: 1, max: 900 }),
        quiet: fc.constant(true),
        gpu: fc.constant(false),
      },
      { requiredKeys: [] },
    );
    const base = { days: fc.subarray([...DAYS], { minLength: 1 }), from: clock, to: clock };
    const window = fc
      .oneof(
        fc.record(base),
        fc.record({ ...base, limits: limits.filter((some) => Object.keys(some).length > 0) }),
      )
      .filter(({ from, to }) => from !== to);
    fc.assert(
      fc.property(window, (one) => {
        expect(parseWindow(windowText(one as WeeklyWindow))).toEqual(one);
      }),
      { seed: 10, numRuns: 200 },
    );
  });

  it("every rule that restricts has its line", () => {
    expect(
      rulesText({
        ...ALWAYS,
        schedule: "windows",
        windows: [{ days: ["sat", "sun"], from: "22:00", to: "07:00", limits: { quiet: true } }],
        exceptions: [{ date: "2026-12-24", windows: [] }],
        onlyWhenIdle: true,
        load: { stopFrom: 50, startBelow: 25 },
        apps: ["steam"],
        notOnMetered: true,
        monthlyMegabytes: 50_000,
        work: { ...ALWAYS.work, cores: 1, gpu: false },
        country: "CH",
        electricity: { pricePerKwh: 0.3, watts: 120 },
      }).split("\n"),
    ).toEqual([
      "sat,sun 22:00-07:00 quiet",
      "On 2026-12-24: not at all",
      "On battery too.",
      "On battery it stops below 20 % and starts again from 30 %.",
      "Only after 10 minutes without input, and while no film or call is on.",
      "It stops at 100 °C and starts again below 85 °C.",
      "It stops when others use 50 % of the processor, and starts again below 25 %.",
      "Not while one of these runs: steam.",
      "Not on metered networks.",
      "At most 50 GB a month.",
      "It uses at most 1 core.",
      "It leaves the graphics card alone.",
      "Networks are told that it stands in Switzerland, and may show how many do.",
      "Electricity: 0.3 per kWh, 120 W more while it works.",
    ]);
  });
});
