import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import {
  ALWAYS,
  type Evidence,
  ONLY_WHEN_ASLEEP,
  type Override,
  type Rules,
  UNKNOWN_EVIDENCE,
} from "../../src-protocol/policy.ts";
import { POWER_UNKNOWN, type PowerReading } from "../evidence/probe.ts";
import type { Probes } from "../evidence/probes.ts";
import { FakeTime, settled } from "./fake-time.ts";
import { PolicyKeeper, type PolicyKeeperOptions, type PolicyState } from "./policy-keeper.ts";
import { systemTimers } from "./timers.ts";

const NOON = "2026-11-23T12:00+01:00";
const HOUR = 3_600_000;
const MINUTE = 60_000;
/** Nothing has to be known. */
const UNGUARDED = { battery: null, heat: null, keepAwake: false, learnHours: false };
const NIGHTLY: Rules = { ...ONLY_WHEN_ASLEEP, onlyOnPower: false, ...UNGUARDED };
const away: Evidence = { ...UNKNOWN_EVIDENCE, idleSeconds: 3600, power: "mains" };

const silent: Probes = {
  power: { everyMs: 5000, read: async () => POWER_UNKNOWN },
  idle: { everyMs: 5000, read: async () => null },
};

let folder: string;
let time: FakeTime;
const open: PolicyKeeper[] = [];

function keep(options: Partial<PolicyKeeperOptions> = {}): PolicyKeeper {
  const base = { folder, now: time.now, timers: time, probes: silent, zone: () => "Europe/Berlin" };
  const keeper = new PolicyKeeper({ ...base, ...options });
  open.push(keeper);
  return keeper;
}
const stored = (name: string): string => readFileSync(join(folder, name), "utf8");
function refusal(work: () => unknown): Failure {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return error;
  }
  throw new Error("it was not refused with a Failure");
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "policy keeper "));
  time = new FakeTime(NOON);
});
afterEach(() => {
  for (const keeper of open.splice(0)) keeper.close();
  rmSync(folder, { recursive: true, force: true });
  vi.useRealTimers();
});

describe("before the owner's first yes", () => {
  it("nothing runs, whatever else is said; afterwards what was said holds", () => {
    const keeper = keep({ begun: false });
    keeper.start({ minutes: 60, by: "dashboard" });
    expect(keeper.decision).toEqual({ action: "pause", reasons: ["not-set-up"], nextChange: null });
    expect(keeper.begin()).toMatchObject({ action: "run", reasons: ["manual-run", "always-allowed"] });
  });
});

describe("rules and overrides", () => {
  it("a new folder has the default rules and writes nothing; without a guard there is no timer", () => {
    expect(keep({ defaultRules: { ...ALWAYS, ...UNGUARDED } }).decision).toMatchObject({
      action: "run",
      reasons: ["always-allowed"],
    });
    expect(readdirSync(folder)).toEqual([]);
    expect(time.waiting).toBe(0);
  });

  it("rules take effect at once and survive a restart", () => {
    expect(keep().setRules(NIGHTLY).action).toBe("pause");
    expect(keep().rules).toEqual(NIGHTLY);
    expect(readdirSync(folder)).toEqual(["rules.json"]);
  });

  it("a pause survives a restart, ends by itself, and is then forgotten", async () => {
    keep().pause({ minutes: 30, by: "cli" });
    expect(JSON.parse(stored("override.json"))).toMatchObject({ action: "pause", by: "cli" });
    for (const keeper of open.splice(0)) keeper.close();

    await time.pass(10 * MINUTE);
    const keeper = keep({ defaultRules: { ...ALWAYS, ...UNGUARDED } });
    const told: PolicyState[] = [];
    keeper.onDecision((state) => told.push(state));
    expect(keeper.decision).toMatchObject({
      action: "pause",
      nextChange: { at: time.now() + 20 * MINUTE, action: "run" },
    });
    await time.pass(20 * MINUTE);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ decision: { action: "run" }, override: null });
    expect(existsSync(join(folder, "override.json"))).toBe(false);
    expect(time.waiting).toBe(0);
  });

  it("an override that ended while the daemon was away is dropped", () => {
    keep().pause({ minutes: 30, by: "tray" });
    time.sleep(HOUR);
    expect(keep().override).toBeNull();
    expect(existsSync(join(folder, "override.json"))).toBe(false);
  });

  it("start runs outside the schedule for its time, resume ends it", async () => {
    const keeper = keep({ defaultRules: NIGHTLY });
    expect(keeper.start({ minutes: 60, by: "dashboard" })).toMatchObject({
      action: "run",
      reasons: ["manual-run", "outside-schedule"],
    });
    expect(keeper.resume()).toMatchObject({ action: "pause", reasons: ["outside-schedule"] });
    expect(existsSync(join(folder, "override.json"))).toBe(false);
    keeper.start({ minutes: 60, by: "dashboard" });
    await time.pass(HOUR);
    expect(keeper.decision.action).toBe("pause");
  });

  it("a longer pause is told to listeners although the decision stays the same", () => {
    const keeper = keep({ defaultRules: { ...ALWAYS, onlyOnPower: true } });
    keeper.pause({ minutes: 30, by: "cli" });
    const untils: (number | null | undefined)[] = [];
    const stop = keeper.onDecision(({ override }) => untils.push(override?.until));
    keeper.pause({ minutes: 60, by: "cli" });
    expect(untils).toEqual([time.now() + HOUR]);
    stop();
    keeper.resume();
    expect(untils).toHaveLength(1);
  });

  it("a pause until it is resumed has no end, and survives a restart", async () => {
    keep().pause({ minutes: null, by: "tray" });
    for (const keeper of open.splice(0)) keeper.close();
    const keeper = keep();
    time.sleep(30 * 24 * HOUR);
    await time.pass(30_000);
    expect(keeper.override).toMatchObject({ action: "pause", until: null });
    expect(keeper.resume().action).toBe("run");
  });

  it("a start needs an end", () => {
    expect(refusal(() => keep().start({ minutes: null, by: "cli" })).code).toBe("end-needed");
  });

  it("the step is finished, then it pauses, and that survives a restart", () => {
    const keeper = keep();
    expect(keeper.finish({ minutes: 60, by: "cli" }).action).toBe("run");
    const { until } = keeper.override ?? {};
    keeper.stepFinished();
    expect(keeper.decision.reasons[0]).toBe("manual-pause");
    expect(keep().override).toMatchObject({ action: "pause", until });
  });

  it("what does not run has no step to finish, and no other override is touched by a step's end", () => {
    const keeper = keep({ defaultRules: NIGHTLY });
    expect(keeper.finish({ minutes: 60, by: "cli" }).reasons[0]).toBe("manual-pause");
    keeper.start({ minutes: 60, by: "cli" });
    keeper.stepFinished();
    expect(keeper.override?.action).toBe("run");
  });

  it("a step that does not end is dropped after ten minutes", async () => {
    const keeper = keep();
    keeper.finish({ minutes: null, by: "cli" });
    await time.pass(10 * MINUTE);
    expect(keeper.decision.action).toBe("pause");
  });

  it.each([0, -5, 0.5, Number.NaN, 7 * 24 * 60 + 1])(
    "%s minutes are refused and change nothing",
    (minutes) => {
      const keeper = keep();
      expect(refusal(() => keeper.pause({ minutes: minutes, by: "cli" })).code).toBe("minutes-out-of-range");
      expect(keeper.override).toBeNull();
    },
  );

  it("rules with an unknown zone are refused and the old ones kept", () => {
    const keeper = keep();
    const failure = refusal(() => keeper.setRules({ ...NIGHTLY, timeZone: "Mars/Olympus" }));
    expect(failure.body()).toMatchObject({
      code: "rules-invalid",
      message: expect.stringContaining("timeZone"),
    });
    expect(keeper.rules).toEqual(ALWAYS);
  });
});

describe("an agent's start", () => {
  const lease = { id: "a1b2c3d4", name: "Agent" };
  const asked = { minutes: 120, by: "agent", lease } as const;

  it("lasts while the agent is there, and ends half a minute after it is gone", async () => {
    const keeper = keep({ defaultRules: NIGHTLY });
    const ended: unknown[] = [];
    keeper.onRunEnded(({ lease: whose }, byItself) => ended.push([whose?.id, byItself]));
    keeper.agentHere(lease.id, true);
    expect(keeper.start(asked).reasons[0]).toBe("agent-run");
    await time.pass(HOUR);
    expect(keeper.decision.action).toBe("run");
    keeper.agentHere(lease.id, false);
    await time.pass(29_000);
    keeper.agentHere(lease.id, true);
    await time.pass(HOUR / 2);
    expect(keeper.decision.action).toBe("run");
    keeper.agentHere(lease.id, false);
    await time.pass(30_000);
    expect(keeper.decision.reasons[0]).toBe("outside-schedule");
    expect(ended).toEqual([[lease.id, true]]);
  });

  it("does not survive a restart without its agent; its pause does", async () => {
    keep({ defaultRules: NIGHTLY }).start(asked);
    for (const keeper of open.splice(0)) keeper.close();
    const keeper = keep({ defaultRules: NIGHTLY });
    expect(keeper.decision.action).toBe("run");
    await time.pass(30_000);
    expect(keeper.override).toBeNull();
    keeper.pause(asked);
    await time.pass(HOUR);
    expect(keeper.decision.reasons[0]).toBe("agent-pause");
  });
});

describe("guards", () => {
  const reading = (power: PowerReading): Probes => ({
    ...silent,
    power: { everyMs: 5000, read: async () => power },
  });

  it("a low battery beats a start by hand, with no rule asked for", async () => {
    const keeper = keep({ probes: reading({ power: "battery", batteryPercent: 12 }) });
    await settled();
    expect(keeper.start({ minutes: 60, by: "cli" })).toMatchObject({ action: "pause", nextChange: null });
    expect(keeper.decision.reasons[0]).toBe("battery-low");
  });

  it("rules that need what is known already apply it at once: nothing stops for not having looked", async () => {
    const keeper = keep({ probes: reading({ power: "mains", batteryPercent: 80 }) });
    await settled();
    expect(keeper.setRules({ ...ALWAYS, onlyOnPower: true })).toMatchObject({ action: "run" });
  });

  it("the month's data, with its zone and moment", () => {
    const asked: unknown[] = [];
    const keeper = keep({
      defaultRules: { ...ALWAYS, monthlyMegabytes: 1 },
      monthBytes: (zone, at) => (asked.push([zone, at]), 2e6),
    });
    expect(keeper.decision.reasons[0]).toBe("data-used-up");
    expect(asked).toContainEqual(["Europe/Berlin", time.now()]);
  });

  it("often interrupted it waits, and new rules of its owner begin at once", async () => {
    const keeper = keep({ defaultRules: { ...ALWAYS, ...UNGUARDED, onlyWhenIdle: true } });
    for (let turn = 0; turn < 7; turn += 1) {
      keeper.reportEvidence({ ...away, idleSeconds: 0 });
      await time.pass(1000);
      keeper.reportEvidence(away);
    }
    expect(keeper.decision.reasons[0]).toBe("often-interrupted");
    expect(keeper.decision.nextChange?.action).toBe("run");
    expect(keeper.setRules({ ...ALWAYS, onlyWhenIdle: true, idleMinutes: 5 }).action).toBe("run");
  });

  it("while it works, a hand on the mouse stops it within half a second", async () => {
    let idle = 3600;
    const probes: Probes = { ...silent, idle: { everyMs: 5000, read: async () => idle } };
    const keeper = keep({ probes, defaultRules: { ...ALWAYS, onlyWhenIdle: true } });
    await time.pass(12_000);
    expect(keeper.decision.action).toBe("run");
    idle = 0;
    await time.pass(500);
    expect(keeper.decision.reasons[0]).toBe("in-use");
  });
});

describe("time", () => {
  it("the window opens and closes at its minute", async () => {
    const keeper = keep({ defaultRules: NIGHTLY });
    const told: string[] = [];
    keeper.onDecision(({ decision }) =>
      told.push(`${new Date(time.now()).toISOString().slice(11, 16)} ${decision.action}`),
    );
    await time.pass(24 * HOUR);
    expect(told).toEqual(["22:00 run", "06:00 pause"]);
  });

  it("a computer that slept through the boundary notices within 30 s", async () => {
    const keeper = keep({ defaultRules: NIGHTLY });
    await time.pass(MINUTE);
    time.sleep(11 * HOUR);
    expect(keeper.decision.action).toBe("pause");
    await time.pass(30_000);
    expect(keeper.decision.action).toBe("run");
  });

  it("a clock set back an hour closes an open window again", async () => {
    const keeper = keep({ defaultRules: NIGHTLY });
    await time.pass(11 * HOUR + MINUTE);
    expect(keeper.decision.action).toBe("run");
    time.sleep(-HOUR);
    await time.pass(30_000);
    expect(keeper.decision).toMatchObject({
      action: "pause",
      nextChange: { at: Date.parse("2026-11-23T23:00+01:00") },
    });
    await time.pass(HOUR);
    expect(keeper.decision.action).toBe("run");
  });

  it("a clock that was years ahead does not make a pause longer than was asked", async () => {
    const now = time.now();
    time.sleep(3 * 365 * 24 * HOUR);
    const keeper = keep();
    keeper.pause({ minutes: 60, by: "cli" });
    time.sleep(now - time.now());
    await time.pass(MINUTE);
    expect(keeper.override?.until).toBeLessThanOrEqual(now + HOUR + MINUTE);
    expect((JSON.parse(stored("override.json")) as Override).until).toBe(keeper.override?.until);
    await time.pass(HOUR);
    expect(keeper.decision.action).toBe("run");
  });

  it("a computer that travels reads its windows in the new zone", async () => {
    let zone = "Europe/Berlin";
    const keeper = keep({ defaultRules: NIGHTLY, zone: () => zone });
    zone = "Asia/Tokyo";
    await time.pass(30_000);
    expect(keeper.decision.nextChange?.at).toBe(Date.parse("2026-11-23T23:00+09:00"));
  });

  it("closing leaves no timer", () => {
    const keeper = keep({ defaultRules: { ...NIGHTLY, onlyWhenIdle: true } });
    expect(time.waiting).toBeGreaterThan(0);
    keeper.close();
    expect(time.waiting).toBe(0);
  });

  it("node-schedule wakes it at the boundary", async () => {
    vi.useFakeTimers({ now: Date.parse(NOON) });
    const keeper = keep({ defaultRules: NIGHTLY, now: Date.now, timers: systemTimers });
    await vi.advanceTimersByTimeAsync(11 * HOUR - 1);
    expect(keeper.decision.action).toBe("pause");
    await vi.advanceTimersByTimeAsync(1);
    expect(keeper.decision.action).toBe("run");
    keeper.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a moment that is past wakes it soon", async () => {
    const wake = vi.fn();
    systemTimers.at(Date.now() - 5, wake);
    await settled();
    expect(wake).toHaveBeenCalledOnce();
    const never = vi.fn();
    systemTimers.at(Date.now() - 5, never)();
    await settled();
    expect(never).not.toHaveBeenCalled();
  });
});

describe("evidence", () => {
  it("a report decides, and after a minute of silence counts as unknown", async () => {
    const keeper = keep({ defaultRules: { ...ALWAYS, onlyWhenIdle: true } });
    expect(keeper.decision.reasons[0]).toBe("idle-unknown");
    expect(keeper.reportEvidence(away).reasons[0]).toBe("not-in-use");
    expect(keeper.reportEvidence({ ...away, idleSeconds: 1 })).toMatchObject({ action: "pause" });
    keeper.reportEvidence(away);
    await time.pass(55_000);
    expect(keeper.decision.action).toBe("run");
    await time.pass(5000);
    expect(keeper.decision.reasons[0]).toBe("idle-unknown");
  });

  it("probes decide without a shell, within 5 s", async () => {
    let idle = 3600;
    const probes: Probes = { ...silent, idle: { everyMs: 5000, read: async () => idle } };
    const keeper = keep({ probes, defaultRules: { ...ALWAYS, onlyWhenIdle: true } });
    await settled();
    expect(keeper.decision.reasons).toEqual(["not-in-use", "always-allowed"]);
    idle = 0;
    await time.pass(5000);
    expect(keeper.decision.reasons[0]).toBe("in-use");
  });
});

describe("stored files that cannot be used", () => {
  it.each([
    ["rules.json", "{ not json", "it is not JSON"],
    ["rules.json", "", "it is not JSON"],
    ["rules.json", '{"schedule":"sometimes"}', "schedule"],
    [
      "rules.json",
      JSON.stringify({ ...NIGHTLY, windows: [{ days: ["mon"], from: "24:00", to: "07:00" }] }),
      "windows.0.from",
    ],
    ["override.json", '{"action":"pause"}', "since"],
    ["override.json", "\u0000\u0000", "it is not JSON"],
  ])("%s with %j stops the start, says where, and is left as it is", (name, content, detail) => {
    writeFileSync(join(folder, name), content);
    const failure = refusal(() => keep());
    expect(failure.code).toBe("stored-file-corrupt");
    expect(failure.message).toContain(join(folder, name));
    expect(failure.message).toContain(detail);
    expect(stored(name)).toBe(content);
    expect(readdirSync(folder)).toEqual([name]);
  });

  it("a folder in the file's place cannot be read, and is left", () => {
    mkdirSync(join(folder, "rules.json"));
    expect(refusal(() => keep()).code).toBe("stored-file-unreadable");
    expect(existsSync(join(folder, "rules.json"))).toBe(true);
  });

  it("rules that cannot be written do not take effect; a pause that cannot still holds, and says so", () => {
    const keeper = keep({ folder: join(folder, "gone") });
    expect(refusal(() => keeper.setRules(NIGHTLY)).code).toBe("stored-file-not-written");
    expect(keeper.rules).toEqual(ALWAYS);
    const failure = refusal(() => keeper.pause({ minutes: 30, by: "cli" }));
    expect(failure.code).toBe("override-not-stored");
    expect(failure.message).toMatch(/^The pause holds now, but a restart would not know of it: /);
    expect(keeper.decision.action).toBe("pause");
  });

  it("a write that fails half-way leaves the old rules and no rest of itself", () => {
    const keeper = keep();
    keeper.setRules(NIGHTLY);
    const before = stored("rules.json");
    rmSync(join(folder, "rules.json"));
    mkdirSync(join(folder, "rules.json"));
    expect(refusal(() => keeper.setRules(ALWAYS)).code).toBe("stored-file-not-written");
    expect(readdirSync(folder)).toEqual(["rules.json"]);
    rmSync(join(folder, "rules.json"), { recursive: true });
    writeFileSync(join(folder, "rules.json"), before);
    expect(keep().rules).toEqual(NIGHTLY);
  });

  it.runIf(process.getuid?.() !== 0)("a read-only folder says what is wrong", () => {
    chmodSync(folder, 0o500);
    expect(refusal(() => keep().setRules(NIGHTLY)).message).toMatch(/EACCES|EROFS/);
    chmodSync(folder, 0o700);
  });
});
