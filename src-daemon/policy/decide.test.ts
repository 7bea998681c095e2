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
import { monthAfter } from "../../src-protocol/zone.ts";
import { decide, nextReview } from "./decide.ts";
import { afterDecision, NOTHING_REMEMBERED, type PolicyMemory, remember } from "./policy-memory.ts";

const ZONE = "Europe/Berlin";
const at = (text: string): number => Date.parse(text);
const NOON = at("2026-11-23T12:00+01:00");
const NIGHT = at("2026-11-23T23:30+01:00");
const HOUR = 3_600_000;

const away: Evidence = { ...UNKNOWN_EVIDENCE, idleSeconds: 3600, power: "mains" };
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

describe("what else keeps it waiting", () => {
  const reasons = (rules: Partial<Rules>, evidence: Partial<Evidence>, memory = NOTHING_REMEMBERED) => {
    const all = { ...ALWAYS, ...rules };
    const known = { ...away, ...evidence };
    return decide(all, known, null, NOON, ZONE, remember(all, known, memory, NOON)).reasons;
  };
  const idle = { onlyWhenIdle: true };

  it.each<[string, Partial<Rules>, Partial<Evidence>, string]>([
    ["a low battery", {}, { power: "battery", batteryPercent: 19 }, "battery-low"],
    ["heat", {}, { celsius: 100 }, "too-hot"],
    ["heat that the system calls serious", {}, { thermal: "serious" }, "too-hot"],
    ["a film that is watched", idle, { screenInUse: true }, "screen-in-use"],
    ["a desktop used from afar", idle, { remoteSession: true }, "remote-session"],
    ["a program that was named", { apps: ["steam"] }, { appsRunning: ["steam"] }, "app-running"],
    ["programs that cannot be listed", { apps: ["steam"] }, { appsRunning: null }, "apps-unknown"],
    ["others' load", { load: { stopFrom: 50, startBelow: 25 } }, { othersLoad: 50 }, "others-busy"],
    ["load that cannot be told", { load: { stopFrom: 50, startBelow: 25 } }, {}, "load-unknown"],
    ["a metered network", { notOnMetered: true }, { metered: true }, "metered-network"],
    ["a network that was named", { notOnNetworks: ["Cafe"] }, { networks: ["cafe"] }, "named-network"],
    ["a network that cannot be told", { notOnMetered: true }, { metered: null }, "network-unknown"],
    ["data used up", { monthlyMegabytes: 10 }, { monthBytes: 10e6 }, "data-used-up"],
  ])("%s", (_, rules, evidence, reason) => {
    expect(reasons(rules, evidence)[0]).toBe(reason);
  });

  it.each<[string, Partial<Rules>, Partial<Evidence>]>([
    ["a level on mains", {}, { power: "mains", batteryPercent: 5 }],
    ["heat that nobody can read", {}, { celsius: null }],
    ["a film nobody watches: the screen is locked", idle, { screenInUse: true, screenLocked: true }],
    ["a film where it is not asked who is there", {}, { screenInUse: true }],
    ["others' load where nobody minds", {}, { othersLoad: 100 }],
    ["data below the cap", { monthlyMegabytes: 10 }, { monthBytes: 9.9e6 }],
  ])("but not %s", (_, rules, evidence) => {
    expect(decide({ ...ALWAYS, ...rules }, { ...away, ...evidence }, null, NOON, ZONE).action).toBe("run");
  });

  it("a locked screen is nobody there after a minute, and a hand on the keyboard is somebody", () => {
    const locked = (idleSeconds: number | null) => reasons(idle, { screenLocked: true, idleSeconds })[0];
    expect([locked(null), locked(60), locked(59)]).toEqual(["screen-locked", "screen-locked", "in-use"]);
  });

  it("two thresholds: between them it stays as it was", () => {
    const low = { ...NOTHING_REMEMBERED, batteryLow: true };
    const at = (batteryPercent: number, memory = NOTHING_REMEMBERED) =>
      reasons({}, { power: "battery", batteryPercent }, memory)[0];
    expect([at(19), at(20), at(29, low), at(30, low)]).toEqual([
      "battery-low",
      "always-allowed",
      "battery-low",
      "always-allowed",
    ]);
  });

  it("data used up ends with the month, and that is announced", () => {
    const rules = { ...ALWAYS, monthlyMegabytes: 10, timeZone: "Asia/Tokyo" };
    expect(decide(rules, { ...away, monthBytes: 20e6 }, null, NOON, ZONE)).toEqual({
      action: "pause",
      reasons: ["data-used-up", "always-allowed"],
      nextChange: { at: at("2026-12-01T00:00+09:00"), action: "run" },
    });
  });
});

describe("agents and hands", () => {
  const agent: Override = { action: "run", since: NOON, until: NOON + HOUR, by: "agent" };

  it("an agent's start beats the hours and nothing else", () => {
    expect(decide(ONLY_WHEN_ASLEEP, away, agent, NOON, ZONE).reasons).toEqual([
      "agent-run",
      "on-power",
      "outside-schedule",
    ]);
    expect(decide(careful, typing, agent, NOON, ZONE).reasons[0]).toBe("in-use");
    expect(decide(careful, battery, agent, NOON, ZONE).reasons[0]).toBe("on-battery");
  });

  it("the step in hand is finished, for ten minutes at most, and then it is a pause", () => {
    const finish: Override = { action: "finish", since: NOON, until: null, by: "cli" };
    expect(decide(ALWAYS, away, finish, NOON + 1, ZONE)).toEqual({
      action: "run",
      reasons: ["finishing", "always-allowed"],
      nextChange: { at: NOON + 10 * 60_000, action: "pause" },
    });
    expect(decide(ALWAYS, away, finish, NOON + 10 * 60_000, ZONE)).toMatchObject({
      action: "pause",
      nextChange: null,
    });
    expect(decide(careful, battery, finish, NOON + 1, ZONE).action).toBe("pause");
  });

  it("a pause without an end has no next change", () => {
    const forever: Override = { action: "pause", since: NOON, until: null, by: "cli" };
    expect(decide(ONLY_WHEN_ASLEEP, away, forever, NOON, ZONE)).toMatchObject({
      action: "pause",
      nextChange: null,
    });
  });
});

describe("for any rules, evidence and override", () => {
  const quarter = fc
    .integer({ min: 0, max: 95 })
    .map((n) => `${String(Math.floor(n / 4)).padStart(2, "0")}:${String((n % 4) * 15).padStart(2, "0")}`);
  const hours = fc.record({ from: quarter, to: quarter }).filter(({ from, to }) => from !== to);
  const anyRules: fc.Arbitrary<Rules> = fc.record({
    schedule: fc.constantFrom("always", "windows"),
    windows: fc.array(
      fc
        .record({ days: fc.subarray([...DAYS], { minLength: 1 }), from: quarter, to: quarter })
        .filter(({ from, to }) => from !== to),
      { maxLength: 3 },
    ),
    exceptions: fc.uniqueArray(
      fc.record({
        date: fc.integer({ min: 15, max: 31 }).map((day) => `2026-10-${day}`),
        windows: fc.array(hours, { maxLength: 2 }),
      }),
      { maxLength: 2, selector: ({ date }) => date },
    ),
    onlyOnPower: fc.boolean(),
    onlyWhenIdle: fc.boolean(),
    idleMinutes: fc.constant(10),
    timeZone: fc.constantFrom(null, "America/New_York", "Australia/Lord_Howe"),
    battery: fc.constantFrom(null, { stopBelow: 20, startFrom: 30 }),
    heat: fc.constantFrom(null, { stopFrom: 90, startBelow: 80 }),
    load: fc.constantFrom(null, { stopFrom: 50, startBelow: 25 }),
    apps: fc.constantFrom([], ["steam"]),
    notOnMetered: fc.boolean(),
    notOnNetworks: fc.constant([]),
    monthlyMegabytes: fc.constantFrom(null, 100),
    diskMegabytes: fc.constantFrom(null, 1000),
    limits: fc.constant(NO_LIMITS),
    work: fc.constant(ALWAYS.work),
    keepAwake: fc.boolean(),
    learnHours: fc.boolean(),
    country: fc.constant(null),
    electricity: fc.constant(null),
  });
  const anyEvidence: fc.Arbitrary<Evidence> = fc.record({
    idleSeconds: fc.constantFrom(null, 0, 599, 600, 9999),
    power: fc.constantFrom("mains", "mains", "battery", "unknown"),
    batteryPercent: fc.constantFrom(null, 10, 25, 90),
    screenLocked: fc.constantFrom(null, false, true),
    remoteSession: fc.constantFrom(null, false, false, true),
    screenInUse: fc.constantFrom(null, false, false, true),
    celsius: fc.constantFrom(null, 40, 85, 99),
    thermal: fc.constantFrom(null, "nominal", "fair", "critical"),
    othersLoad: fc.constantFrom(null, 0, 30, 90),
    appsRunning: fc.constantFrom(null, [], ["steam"]),
    metered: fc.constantFrom(null, false, false, true),
    networks: fc.constant(null),
    monthBytes: fc.constantFrom(null, 0, 100e6),
    folderBytes: fc.constantFrom(null, 940e6, 950e6),
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
      by: fc.constantFrom("cli", "agent"),
    }) as fc.Arbitrary<Override>,
  );
  const anyMemory = (now: number): fc.Arbitrary<PolicyMemory> =>
    fc.record({
      batteryLow: fc.boolean(),
      tooHot: fc.boolean(),
      othersBusy: fc.boolean(),
      running: fc.constant(false),
      starts: fc
        .array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 6 })
        .map((quarters) => quarters.map((n) => now - n * STEP).toSorted((a, b) => a - b)),
    });

  it("the next change is the first quarter of an hour, of two weeks, with another action", () => {
    const withMemory = anyNow.chain((now) => fc.tuple(fc.constant(now), anyMemory(now)));
    fc.assert(
      fc.property(
        anyRules,
        anyEvidence,
        anyOverride,
        withMemory,
        (rules, evidence, override, [now, before]) => {
          const month = monthAfter(rules.timeZone ?? ZONE, now);
          const then = (moment: number) => {
            // A new month begins with nothing used.
            const known = moment >= month ? { ...evidence, monthBytes: 0 } : evidence;
            const memory = remember(rules, known, before, moment);
            return decide(rules, known, override, moment, ZONE, memory);
          };
          const { action, nextChange } = then(now);
          let moment = now + STEP;
          const end = now + 14 * 24 * HOUR;
          while (moment <= end && then(moment).action === action) moment += STEP;
          const other = action === "run" ? "pause" : "run";
          expect(nextChange).toEqual(moment <= end ? { at: moment, action: other } : null);
        },
      ),
      { seed: 20261124, numRuns: 120 },
    );
    // 160,000 decisions: seconds, and minutes on a computer that is busy.
  }, 240_000);

  it("the first reason has the action's verdict, no reason is named twice, and nothing beats safety", () => {
    fc.assert(
      fc.property(anyRules, anyEvidence, anyOverride, anyNow, (rules, evidence, override, now) => {
        const memory = remember(rules, evidence, NOTHING_REMEMBERED, now);
        const { action, reasons } = decide(rules, evidence, override, now, ZONE, memory);
        const verdicts = reasons.map((code) => REASONS[code].verdict);
        expect(verdicts[0]).toBe(action);
        expect(verdicts.slice(verdicts.lastIndexOf(action) + 1)).not.toContain(action);
        expect(verdicts.indexOf(action === "run" ? "pause" : "run")).not.toBe(0);
        expect(new Set(reasons).size).toBe(reasons.length);
        if (action !== "run") return;
        const { power, batteryPercent, celsius, thermal, monthBytes } = evidence;
        expect(rules.onlyOnPower && power !== "mains").toBe(false);
        expect(rules.battery !== null && power !== "mains" && batteryPercent === 10).toBe(false);
        expect(rules.heat !== null && (celsius === 99 || thermal === "critical")).toBe(false);
        expect(rules.monthlyMegabytes !== null && monthBytes === 100e6).toBe(false);
        // An agent's start stops nobody from using the computer.
        const byHand = override?.by === "cli" && override.action === "run" && now < (override.until ?? 0);
        expect(
          !byHand && rules.onlyWhenIdle && evidence.idleSeconds === 0 && evidence.screenLocked !== true,
        ).toBe(false);
      }),
      { seed: 20261125, numRuns: 500 },
    );
  });

  it("however restless the evidence, it starts by itself at most seven times in any hour", () => {
    const second = 10_000;
    const noise = fc.array(anyEvidence, { minLength: 60, maxLength: 120 });
    fc.assert(
      fc.property(anyRules, noise, (rules, readings) => {
        let memory = NOTHING_REMEMBERED;
        let interrupted = false;
        let wasRunning = false;
        const starts: number[] = [];
        for (let tick = 0; tick < 720; tick += 1) {
          const now = NOON + tick * second;
          const evidence = readings[tick % readings.length] ?? away;
          memory = remember(rules, evidence, memory, now);
          const decision = decide(rules, evidence, null, now, ZONE, memory);
          memory = afterDecision(decision, memory, now, interrupted);
          interrupted = decision.action === "pause";
          if (decision.action === "run" && !wasRunning) starts.push(now);
          wasRunning = decision.action === "run";
        }
        for (const start of starts)
          expect(starts.filter((other) => other >= start && other < start + HOUR).length).toBeLessThanOrEqual(
            7,
          );
      }),
      { seed: 20261128, numRuns: 60 },
    );
  });
});
