import { describe, expect, it } from "vitest";
import { ALWAYS, DAYS, type Rules } from "../src-protocol/policy.ts";
import { askedMinutes } from "./asked-time.ts";
import { changedRules } from "./rules-words.ts";

const words = (text: string, rules: Rules = ALWAYS): Rules => changedRules(rules, text.split(" "));

describe("tah rules, to write", () => {
  it.each<[string, Partial<Rules>]>([
    [
      "asleep",
      { schedule: "windows", onlyOnPower: true, windows: [{ days: [...DAYS], from: "23:00", to: "07:00" }] },
    ],
    [
      "asleep 22:30-6:00",
      { schedule: "windows", onlyOnPower: true, windows: [{ days: [...DAYS], from: "22:30", to: "06:00" }] },
    ],
    [
      "hours mon-tue 1:00-2:00; sun 3:00-4:00 quiet",
      {
        schedule: "windows",
        windows: [
          { days: ["mon", "tue"], from: "01:00", to: "02:00" },
          { days: ["sun"], from: "03:00", to: "04:00", limits: { quiet: true } },
        ],
      },
    ],
    ["except 2026-12-24 never", { exceptions: [{ date: "2026-12-24", windows: [] }] }],
    [
      "except 2026-12-31 10:00-12:00; 20:00-23:00 cores=1",
      {
        exceptions: [
          {
            date: "2026-12-31",
            windows: [
              { from: "10:00", to: "12:00" },
              { from: "20:00", to: "23:00", limits: { cores: 1 } },
            ],
          },
        ],
      },
    ],
    ["set power=yes idle=15", { onlyOnPower: true, onlyWhenIdle: true, idleMinutes: 15 }],
    [
      "set battery=30/50 heat=no load=60/30",
      { battery: { stopBelow: 30, startFrom: 50 }, heat: null, load: { stopFrom: 60, startBelow: 30 } },
    ],
    [
      "set apps=steam,blender metered=no networks=cafe",
      { apps: ["steam", "blender"], notOnMetered: true, notOnNetworks: ["cafe"] },
    ],
    ["set data=1.5TB", { monthlyMegabytes: 1_500_000 }],
    ["set cores=2 quiet=yes gpu=no", { work: { ...ALWAYS.work, cores: 2, quiet: true, gpu: false } }],
    ["set memory=4GB disk=20GB", { work: { ...ALWAYS.work, memoryMegabytes: 4000 }, diskMegabytes: 20_000 }],
    [
      "set awake=no learn=no zone=Asia/Tokyo",
      { keepAwake: false, learnHours: false, timeZone: "Asia/Tokyo" },
    ],
    ["set country=de", { country: "DE" }],
    ["set electricity=0.30@120", { electricity: { pricePerKwh: 0.3, watts: 120 } }],
    ["set electricity=0.30", { electricity: { pricePerKwh: 0.3, watts: null } }],
  ])("%s", (text, change) => {
    expect(words(text)).toEqual({ ...ALWAYS, ...change });
  });

  it("a date is cleared, and set again in its place", () => {
    const with24 = words("except 2026-12-24 never", words("except 2026-12-25 never"));
    expect(with24.exceptions.map(({ date }) => date)).toEqual(["2026-12-24", "2026-12-25"]);
    expect(words("except 2026-12-25 clear", with24).exceptions).toEqual([
      { date: "2026-12-24", windows: [] },
    ]);
  });

  it("all rules as --json prints them", () => {
    const rules = words("asleep");
    expect(changedRules(ALWAYS, ["json", JSON.stringify(rules)])).toEqual(rules);
  });

  it.each([
    ["hours mon 9:00-9:00", /all day .* or never/],
    ["sometimes", /none of: any, asleep/],
    ["except 2026-02-30 never", /a date that exists/],
    ["except 2026-12-24", /needs a date and then/],
    ["set", /needs NAME=VALUE/],
    ["set frobnicate=1", /sets nothing/],
    ["set idle=soon", /whole number/],
    ["set battery=50", /two numbers/],
    ["set battery=50/40", /stops below less/],
    ["set zone=Mars/Olympus", /a time zone like/],
    ["set data=much", /an amount like 50GB/],
    ["json {", /not JSON/],
  ])("%s is refused with what to write", (text, message) => {
    expect(() => words(text)).toThrow(message);
  });
});

describe("the time of a pause or a start", () => {
  const now = new Date(2026, 10, 28, 22, 0);
  const minutes = (asked: { words?: string[]; for?: string; until?: string }) =>
    askedMinutes({ words: [], ...asked }, now);

  it.each([
    [{}, 60],
    [{ words: ["2h"] }, 120],
    [{ for: "30m" }, 30],
    [{ until: "23:30" }, 90],
    [{ words: ["until", "23:30"] }, 90],
    [{ until: "tomorrow" }, 9 * 60],
    [{ words: ["until", "tomorrow"] }, 9 * 60],
    [{ until: "resumed" }, null],
    [{ words: ["until", "I", "resume"] }, null],
  ])("%j is %s minutes", (asked, expected) => {
    expect(minutes(asked)).toBe(expected);
  });

  it("is said once", () => {
    expect(() => minutes({ words: ["2h"], until: "23:00" })).toThrow(/once/);
    expect(() => minutes({ for: "soon" })).toThrow(/no time/);
  });
});
