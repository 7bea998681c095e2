import { describe, expect, it, vi } from "vitest";
import { ALWAYS, type Evidence, type Rules, UNKNOWN_EVIDENCE } from "../../src-protocol/policy.ts";
import { FakeTime, settled } from "../policy/fake-time.ts";
import { EvidenceWatch } from "./evidence-watch.ts";
import { type IdleReading, POWER_UNKNOWN, type PowerReading } from "./probe.ts";
import { systemProbes } from "./probes.ts";

const NONE: Rules = { ...ALWAYS, battery: null, heat: null, keepAwake: false, learnHours: false };
const BOTH: Rules = { ...NONE, onlyOnPower: true, onlyWhenIdle: true };
const unknown = UNKNOWN_EVIDENCE;
const shell: Evidence = { ...unknown, idleSeconds: 7, power: "battery", batteryPercent: 33 };

function watching() {
  const time = new FakeTime("2026-11-23T12:00Z");
  const power = vi.fn<() => Promise<PowerReading>>(async () => ({ power: "mains", batteryPercent: 90 }));
  const idle = vi.fn<() => Promise<IdleReading>>(async () => 100);
  const onEvidence = vi.fn<() => void>();
  const probes = { power: { everyMs: 15_000, read: power }, idle: { everyMs: 5000, read: idle } };
  const watch = new EvidenceWatch({ probes, now: time.now, timers: time, onEvidence });
  return { time, power, idle, onEvidence, watch };
}

describe("probing", () => {
  it("does nothing, and waits for nothing, until a rule needs it", async () => {
    const { time, power, idle, watch } = watching();
    watch.need(NONE, false);
    await time.pass(60_000);
    expect([power.mock.calls.length, idle.mock.calls.length, time.waiting]).toEqual([0, 0, 0]);
    expect(watch.evidence()).toEqual(unknown);
  });

  it("begins at once, then each probe at its own pace", async () => {
    const { time, power, idle, onEvidence, watch } = watching();
    watch.need(BOTH, false);
    await settled();
    expect(watch.evidence()).toEqual({ ...unknown, idleSeconds: 100, power: "mains", batteryPercent: 90 });
    expect(onEvidence).toHaveBeenCalled();
    await time.pass(60_000);
    expect([power.mock.calls.length, idle.mock.calls.length]).toEqual([5, 13]);
  });

  it("asks only for what a rule needs, and stops with the last such rule", async () => {
    const { time, power, idle, watch } = watching();
    watch.need({ ...NONE, onlyWhenIdle: true }, false);
    await time.pass(10_000);
    expect([power.mock.calls.length, idle.mock.calls.length]).toEqual([0, 3]);
    watch.need(NONE, false);
    await time.pass(60_000);
    expect(idle).toHaveBeenCalledTimes(3);
    expect(time.waiting).toBe(0);
  });

  it("what a probe said before the rule was off is too old when it is on again", async () => {
    const { time, watch } = watching();
    watch.need(BOTH, false);
    await settled();
    watch.need(NONE, false);
    await time.pass(120_000);
    watch.need(BOTH, false);
    expect(watch.evidence()).toEqual(unknown);
    await settled();
    expect(watch.evidence().idleSeconds).toBe(100);
  });

  it("a probe that hangs or fails is unknown soon, and is not started twice", async () => {
    const { time, power, idle, watch } = watching();
    watch.need(BOTH, false);
    await settled();
    idle.mockImplementation(() => new Promise(() => {}));
    power.mockRejectedValue(new Error("odd"));
    await time.pass(60_000);
    expect(watch.evidence()).toEqual(unknown);
    expect(idle).toHaveBeenCalledTimes(2);
  });

  it("after the computer slept, the old reading is not believed", async () => {
    const { time, watch } = watching();
    watch.need(BOTH, false);
    await settled();
    time.sleep(3_600_000);
    expect(watch.evidence()).toEqual(unknown);
  });
});

describe("the shell's report", () => {
  it("wins for a minute, and the probes rest meanwhile", async () => {
    const { time, idle, watch } = watching();
    watch.need(BOTH, false);
    await settled();
    watch.report(shell);
    expect(watch.evidence()).toEqual(shell);
    await time.pass(55_000);
    expect(watch.evidence()).toEqual(shell);
    expect(idle).toHaveBeenCalledTimes(1);
    await time.pass(5000);
    expect(watch.evidence()).toEqual({ ...unknown, idleSeconds: 100, power: "mains", batteryPercent: 90 });
  });

  it("leaves to the probes what it does not know", async () => {
    const { watch } = watching();
    watch.need(BOTH, false);
    watch.report({ ...shell, idleSeconds: null });
    await settled();
    expect(watch.evidence()).toEqual({ ...unknown, idleSeconds: 100, power: "battery", batteryPercent: 33 });
  });

  it("from before the clock was set back does not count", () => {
    const { time, watch } = watching();
    watch.report(shell);
    time.sleep(-3_600_000);
    expect(watch.evidence()).toEqual(unknown);
  });
});

describe("the probes of a platform", () => {
  it("on a platform without any, everything is unknown", async () => {
    const { power, idle } = systemProbes("openbsd");
    expect([await power.read(), await idle.read()]).toEqual([POWER_UNKNOWN, null]);
  });

  it.each(["linux", "darwin", "win32"] as const)(
    "of %s answer without throwing, wherever they run",
    async (platform) => {
      const { power, idle } = systemProbes(platform);
      expect(["mains", "battery", "unknown"]).toContain((await power.read()).power);
      const seconds = await idle.read();
      expect(seconds === null || seconds >= 0).toBe(true);
    },
  );
});
