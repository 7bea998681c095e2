import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_LIMITS } from "../../src-protocol/line-limits.ts";
import {
  ALWAYS,
  DAYS,
  type Evidence,
  ONLY_WHEN_ASLEEP,
  type Override,
  REASONS,
  type Rules,
  UNKNOWN_EVIDENCE,
} from "../../src-protocol/policy.ts";
import { decide, nextReview } from "./decide.ts";

const ZONE = "Europe/Berlin";
const at = (text: string): number => Date.parse(text);
const NOON = at("2026-11-23T12:00+01:00");
const NIGHT = at("2026-11-23T23:30+01:00");
const HOUR = 3_600_000;

const away: Evidence = { idleSeconds: 3600, power: "mains", batteryPercent: null };
const typing: Evidence = { ...away, idleSeconds: 2 };
const battery: Evidence = { ...away, power: "battery", batteryPercent: 40 };
const careful: Rules = { ...ALWAYS, onlyOnPower: true, onlyWhenIdle: true };
const pause = (until: number): Override => ({ action: "pause", since: NOON - HOUR, until, by: "tray" });
const run = (until: number): Override => ({ ...pause(until), action: "run" });

describe("what is decided", () => {
  it("the default runs at any time, whatever is known", () => {
    expect(decide(ALWAYS, UNKNOWN_EVIDENCE, null, NOON, ZONE)).toEqual({
      action: "run",
      reasons: ["always-allowed"],
      nextChange: null,
    });
  });

  it("outside the schedule it waits for the window, inside it works to its end", () => {
    expect(decide(ONLY_WHEN_ASLEEP, away, null, NOON, ZONE)).toEqual({
      action: "pause",
      reasons: ["outside-schedule", "on-power"],
      nextChange: { at: at("2026-11-23T23:00+01:00"), action: "run" },
    });
    expect(decide(ONLY_WHEN_ASLEEP, away, null, NIGHT, ZONE)).toEqual({
      action: "run",
      reasons: ["inside-schedule", "on-power"],
      nextChange: { at: at("2026-11-24T07:00+01:00"), action: "pause" },
    });
  });

  it("a manual pause beats everything, and each other reason is still named", () => {
    expect(decide(careful, away, pause(NOON + HOUR), NOON, ZONE)).toEqual({
      action: "pause",
      reasons: ["manual-pause", "not-in-use", "on-power", "always-allowed"],
      nextChange: { at: NOON + HOUR, action: "run" },
    });
    expect(decide(careful, { ...battery, idleSeconds: 0 }, pause(NOON + HOUR), NOON, ZONE)).toEqual({
      action: "pause",
      reasons: ["manual-pause", "on-battery", "in-use", "always-allowed"],
      nextChange: null,
    });
  });

  it("a manual start beats schedule and use", () => {
    const rules: Rules = { ...ONLY_WHEN_ASLEEP, onlyWhenIdle: true };
    expect(decide(rules, typing, run(NOON + HOUR), NOON, ZONE)).toEqual({
      action: "run",
      reasons: ["manual-run", "on-power", "in-use", "outside-schedule"],
      nextChange: { at: NOON + HOUR, action: "pause" },
    });
  });

  it("a manual start never beats the safety rule, and cannot be waited for", () => {
    for (const [evidence, reason] of [
      [battery, "on-battery"],
      [{ ...away, power: "unknown" }, "power-unknown"],
    ] as const) {
      const decision = decide(careful, evidence, run(NOON + HOUR), NOON, ZONE);
      expect(decision).toMatchObject({ action: "pause", nextChange: null });
      expect(decision.reasons).toEqual([reason, "manual-run", "not-in-use", "always-allowed"]);
    }
  });

  it("what cannot be told counts as in use and not on power, when the rule is on", () => {
    expect(decide(careful, UNKNOWN_EVIDENCE, null, NOON, ZONE)).toEqual({
      action: "pause",
      reasons: ["power-unknown", "idle-unknown", "always-allowed"],
      nextChange: null,
    });
  });

  it("nobody is there from the threshold on, not before", () => {
    const rules: Rules = { ...ALWAYS, onlyWhenIdle: true, idleMinutes: 10 };
    const idle = (idleSeconds: number) => decide(rules, { ...away, idleSeconds }, null, NOON, ZONE);
    expect(idle(599.9)).toEqual({ action: "pause", reasons: ["in-use", "always-allowed"], nextChange: null });
    expect(idle(600)).toEqual({ action: "run", reasons: ["not-in-use", "always-allowed"], nextChange: null });
  });

  it("an override is over at its end", () => {
    expect(decide(ALWAYS, away, pause(NOON), NOON, ZONE).reasons).toEqual(["always-allowed"]);
    expect(decide(ALWAYS, away, pause(NOON + 1), NOON, ZONE).action).toBe("pause");
  });
});

describe("the next change", () => {
  it("a pause that ends outside the schedule starts with the next window", () => {
    expect(decide(ONLY_WHEN_ASLEEP, away, pause(NOON + HOUR), NOON, ZONE).nextChange).toEqual({
      at: at("2026-11-23T23:00+01:00"),
      action: "run",
    });
  });

  it("a start that ends inside the schedule works on to the window's end", () => {
    expect(decide(ONLY_WHEN_ASLEEP, away, run(NIGHT + HOUR), NIGHT, ZONE).nextChange).toEqual({
      at: at("2026-11-24T07:00+01:00"),
      action: "pause",
    });
  });

  it("someone at the keyboard has no next change: time alone does not send them away", () => {
    const rules: Rules = { ...ONLY_WHEN_ASLEEP, onlyWhenIdle: true };
    expect(decide(rules, typing, null, NIGHT, ZONE).nextChange).toBeNull();
  });

  it("rules with a zone of their own are read there", () => {
    const rules: Rules = { ...ONLY_WHEN_ASLEEP, timeZone: "Asia/Kathmandu" };
    expect(decide(rules, away, null, NOON, ZONE).nextChange?.at).toBe(at("2026-11-23T23:00+05:45"));
  });

  it("a schedule without a window never starts by itself", () => {
    const rules: Rules = { ...ALWAYS, schedule: "windows" };
    expect(decide(rules, away, null, NOON, ZONE)).toMatchObject({ action: "pause", nextChange: null });
  });

  it("the decision is reviewed when a reason may change, although the action does not", () => {
    expect(nextReview(ONLY_WHEN_ASLEEP, pause(NOON + 30 * HOUR), NOON, ZONE)).toBe(
      at("2026-11-23T23:00+01:00"),
    );
    expect(nextReview(ALWAYS, run(NOON + HOUR), NOON, ZONE)).toBe(NOON + HOUR);
    expect(nextReview(ALWAYS, null, NOON, ZONE)).toBeNull();
  });
});

describe("for any rules, evidence and override", () => {
  const quarter = fc
    .integer({ min: 0, max: 95 })
    .map((n) => `${String(Math.floor(n / 4)).padStart(2, "0")}:${String((n % 4) * 15).padStart(2, "0")}`);
  const anyRules: fc.Arbitrary<Rules> = fc.record({
    schedule: fc.constantFrom("always", "windows"),
    windows: fc.array(
      fc.record({ days: fc.subarray([...DAYS], { minLength: 1 }), from: quarter, to: quarter }),
      { maxLength: 3 },
    ),
    onlyOnPower: fc.boolean(),
    onlyWhenIdle: fc.boolean(),
    idleMinutes: fc.constant(10),
    timeZone: fc.constantFrom(null, "America/New_York", "Australia/Lord_Howe"),
    limits: fc.constant(NO_LIMITS),
  });
  const anyEvidence: fc.Arbitrary<Evidence> = fc.record({
    idleSeconds: fc.constantFrom(null, 0, 599, 600, 9999),
    power: fc.constantFrom("mains", "mains", "battery", "unknown"),
    batteryPercent: fc.constant(null),
  });
  const STEP = HOUR / 4;
  // Monday of the week in which Berlin's clocks go back; New York's follow a week later.
  const START = at("2026-10-19T00:00Z");
  const anyNow = fc.integer({ min: 0, max: 14 * 96 }).map((n) => START + n * STEP);
  const anyOverride = fc.option(
    fc.record({
      action: fc.constantFrom("pause", "run"),
      since: fc.constant(START),
      until: fc.integer({ min: 0, max: 21 * 96 }).map((n) => START + n * STEP),
      by: fc.constant("cli"),
    }) as fc.Arbitrary<Override>,
  );

  it("the next change is the first quarter of an hour, of two weeks, with another action", () => {
    fc.assert(
      fc.property(anyRules, anyEvidence, anyOverride, anyNow, (rules, evidence, override, now) => {
        const { action, nextChange } = decide(rules, evidence, override, now, ZONE);
        let moment = now + STEP;
        const end = now + 14 * 24 * HOUR;
        while (moment <= end && decide(rules, evidence, override, moment, ZONE).action === action)
          moment += STEP;
        const other = action === "run" ? "pause" : "run";
        expect(nextChange).toEqual(moment <= end ? { at: moment, action: other } : null);
      }),
      { seed: 20261124, numRuns: 120 },
    );
  });

  it("the first reason has the action's verdict, and no reason is named twice", () => {
    fc.assert(
      fc.property(anyRules, anyEvidence, anyOverride, anyNow, (rules, evidence, override, now) => {
        const { action, reasons } = decide(rules, evidence, override, now, ZONE);
        const verdicts = reasons.map((code) => REASONS[code].verdict);
        expect(verdicts[0]).toBe(action);
        expect(verdicts.slice(verdicts.lastIndexOf(action) + 1)).not.toContain(action);
        expect(verdicts.indexOf(action === "run" ? "pause" : "run")).not.toBe(0);
        expect(new Set(reasons).size).toBe(reasons.length);
        expect(action === "run" && rules.onlyOnPower && evidence.power !== "mains").toBe(false);
      }),
      { seed: 20261125, numRuns: 500 },
    );
  });
});
