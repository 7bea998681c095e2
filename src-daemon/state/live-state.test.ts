import { beforeEach, describe, expect, it } from "vitest";
import type { RunView } from "../../src-protocol/api.ts";
import { sessionKey, ss58Address } from "../../src-protocol/keys.ts";
import { DEFAULT_MODEL } from "../../src-protocol/model.ts";
import { ALWAYS } from "../../src-protocol/policy.ts";
import type { Decision } from "../../src-protocol/policy.ts";
import { daemonState } from "../../src-protocol/state.ts";
import { EMBEDDED_CHAIN, embeddedNetwork, initialState } from "./initial-state.ts";
import { LiveState } from "./live-state.ts";
import { statusLine } from "./status-line.ts";

const mine = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const next = ss58Address.parse("5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty");
const running: Decision = { action: "run", reasons: ["always-allowed"], nextChange: null };
const paused: Decision = { action: "pause", reasons: ["manual-pause"], nextChange: null };

function view(changes: Partial<RunView> = {}): RunView {
  const holder = (hotkey: typeof mine, key: string) => ({
    sessionKey: sessionKey.parse(key.repeat(32)),
    hotkey,
    connected: true,
  });
  return {
    runId: "run-1",
    name: "A run",
    phase: "training",
    detail: "All stages are held.",
    model: DEFAULT_MODEL,
    parameterCount: 10,
    corpus: "Moby-Dick",
    step: 12,
    steps: null,
    tokensPerStep: 3072,
    loss: 2.5,
    heldOutLoss: 2.75,
    heldOutLossAtStart: 5.5,
    tokensPerSecond: 12_345.6,
    recoveries: 0,
    lastRecoveryMs: null,
    stages: [
      { index: 0, parameterCount: 5, holder: holder(mine, "aa") },
      { index: 1, parameterCount: 5, holder: holder(next, "bb") },
      { index: 2, parameterCount: 5, holder: null },
    ],
    nodes: 2,
    block: 77,
    ...changes,
  };
}

let live: LiveState;
let said: string[];
beforeEach(() => {
  said = [];
  live = new LiveState(
    initialState({
      version: "1",
      startedAt: 0,
      dataFolder: "/home",
      hotkey: mine,
      policy: { decision: running, rules: ALWAYS, override: null },
      network: embeddedNetwork(1, []),
      chain: EMBEDDED_CHAIN,
    }),
    { now: () => 0, onActivity: (text) => said.push(text) },
  );
  live.begin(embeddedNetwork(1, []), new Set([next]), "test");
});

describe("the state that clients see", () => {
  it("is always of the promised form", () => {
    live.run(view());
    live.worker({ kind: "running", pid: 1 }, null);
    live.problem("worker", { code: "no-memory", message: "Not enough memory." });
    expect(daemonState.parse(live.get())).toEqual(live.get());
  });

  it("says which stages are mine, which are next door, and which look for a home", () => {
    live.run(view());
    expect(live.get().run?.stages.map(({ holder }) => holder && [holder.mine, holder.neighbour])).toEqual([
      [true, false],
      [false, true],
      null,
    ]);
    expect(live.get().chain).toMatchObject({ connected: true, block: 77 });
  });

  it("shows my worker as paused with the reason, whatever its process is still doing", () => {
    live.worker(
      { kind: "running", pid: 1 },
      { type: "phase", phase: "training", detail: "Training.", stage: 0, loading: null },
    );
    live.policy({ decision: paused, rules: ALWAYS, override: null });
    expect(live.get().node).toMatchObject({
      phase: "paused",
      detail: "Waiting: you paused it.",
      stage: null,
    });
  });

  it("keeps the oldest problem until it is over, then shows the next", () => {
    live.problem("worker", { code: "first", message: "First." });
    live.problem("neighbour 1", { code: "second", message: "Second." });
    expect(live.get().problem?.code).toBe("first");
    live.problem("worker", null);
    expect(live.get().problem?.code).toBe("second");
    live.problem("neighbour 1", null);
    expect(live.get().problem).toBeNull();
  });
});

describe("the activity list", () => {
  it("tells in plain words what has happened, newest first", () => {
    live.run(view({ phase: "waiting", step: 0 }));
    live.run(view({ step: 0 }));
    live.policy({ decision: paused, rules: ALWAYS, override: null });
    live.policy({ decision: running, rules: ALWAYS, override: null });
    live.run(view({ phase: "forming", detail: "Slice 2 is looking for a home." }));
    live.run(view({ recoveries: 1, lastRecoveryMs: 2345, step: 13 }));
    live.run(view({ phase: "finished", recoveries: 1, lastRecoveryMs: 2345, step: 60 }));
    expect(said).toEqual([
      "Training has started.",
      "Waiting: you paused it.",
      "May work: your schedule allows any time.",
      "Training is interrupted: Slice 2 is looking for a home.",
      "Training goes on from step 13.",
      "A lost computer was replaced in 2.3 s.",
      "Training has finished at step 60.",
    ]);
    expect(live.get().activity.map(({ text }) => text)).toEqual(said.toReversed());
  });

  it("tells a pause by somebody's hand from one by the rules", () => {
    const override = { action: "pause", since: 5, until: 60_000, by: "cli" } as const;
    live.policy({ decision: paused, rules: ALWAYS, override });
    live.policy({ decision: running, rules: ALWAYS, override: null });
    live.policy({ decision: paused, rules: ALWAYS, override: null });
    live.note("money", "1 test unit was claimed.");
    expect(live.get().activity.map(({ kind }) => kind)).toEqual(["money", "work", "work", "hand"]);
  });

  it("says nothing while the daemon ends", () => {
    live.run(view());
    said.length = 0;
    live.silence();
    live.run(view({ phase: "waiting" }));
    expect(said).toEqual([]);
  });
});

describe("the terminal's line", () => {
  it("has step, losses, speed, state and reason, and earnings in test units", () => {
    live.worker(
      { kind: "running", pid: 1 },
      { type: "phase", phase: "training", detail: "Training.", stage: 1, loading: null },
    );
    live.run(view());
    live.earnings({ ...live.get().earnings, asOf: 0, accruedRao: "1234567", claimedRao: "1000000000" });
    expect(statusLine(live.get(), 0)).toBe(
      "step 12 · loss 2.500 · held out 2.750 · 12,346 tokens/s · Working: your schedule allows any time. · earned 1.001234 test units",
    );
  });

  it("says what is in the way instead", () => {
    live.run(
      view({ phase: "forming", detail: "Slice 2 is looking for a home.", tokensPerSecond: null, steps: 60 }),
    );
    expect(statusLine(live.get(), 0)).toContain(
      "step 12 of 60 · loss 2.500 · held out 2.750 · Getting ready: Slice 2 is looking",
    );
    live.problem("worker", { code: "no-memory", message: "Not enough memory." });
    expect(statusLine(live.get(), 0)).toContain("· Not enough memory. ·");
  });
});
