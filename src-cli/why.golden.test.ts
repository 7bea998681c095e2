import { join } from "node:path";
import { expect, test } from "vitest";
import { decide } from "../src-daemon/policy/decide.ts";
import { NOTHING_REMEMBERED, type PolicyMemory, remember } from "../src-daemon/policy/policy-memory.ts";
import { missingEvidence } from "../src-daemon/evidence/missing-evidence.ts";
import { trayView } from "../src-main/tray-view.ts";
import {
  ALWAYS,
  type Evidence,
  ONLY_WHEN_ASLEEP,
  type Override,
  type Rules,
  UNKNOWN_EVIDENCE,
} from "../src-protocol/policy.ts";
import type { DaemonState, RunState } from "../src-protocol/state.ts";
import { situationText, why, whyText } from "../src-protocol/why.ts";
import { workingState } from "../src-protocol/working-state.test-support.ts";
import { headline } from "../src-renderer/home/headline.ts";
import { whyRows } from "../src-renderer/home/why-rows.ts";
import { TOOLS } from "./mcp-tools.ts";
import { earningsText, statusText } from "./answers.ts";

/** All surfaces read the zone of this computer, so the golden text is of one. */
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const NOON = new Date(2026, 10, 25, 12, 0).getTime();
const HOUR = 3_600_000;
const away: Evidence = { ...UNKNOWN_EVIDENCE, idleSeconds: 3600, power: "mains", screenInUse: false };
const idle: Partial<Rules> = { onlyWhenIdle: true };
const load = { stopFrom: 50, startBelow: 25 };
const by = (action: Override["action"], hours: number | null, who: Override["by"] = "cli"): Override => ({
  action,
  since: NOON - HOUR,
  until: hours === null ? null : NOON + hours * HOUR,
  by: who,
  ...(who === "agent" ? { lease: { id: "a1", name: "Helper" } } : {}),
});

interface Case {
  readonly rules?: Partial<Rules>;
  readonly evidence?: Partial<Evidence>;
  readonly override?: Override;
  readonly memory?: Partial<PolicyMemory>;
  readonly at?: number;
  readonly state?: Partial<DaemonState>;
}

const working = workingState();
const node = (phase: DaemonState["node"]["phase"], detail: string) => ({
  node: { ...working.node, phase, detail },
});
const run = (phase: RunState["phase"], detail: string) => ({
  run: working.run === null ? null : { ...working.run, phase, detail, tokensPerSecond: null },
});
const NIGHT = NOON + 11.5 * HOUR;

const CASES: Record<string, Case> = {
  "any time": {},
  "any time, but not today": { rules: { exceptions: [{ date: "2026-11-25", windows: [] }] } },
  "asleep, at noon": { rules: ONLY_WHEN_ASLEEP },
  "asleep, at night": { rules: ONLY_WHEN_ASLEEP, at: NIGHT },
  "asleep, at night on battery": { rules: ONLY_WHEN_ASLEEP, at: NIGHT, evidence: { power: "battery" } },
  "asleep, at noon on battery": { rules: ONLY_WHEN_ASLEEP, evidence: { power: "battery" } },
  "power unknown": { rules: { onlyOnPower: true }, evidence: { power: "unknown" } },
  "battery low": { evidence: { power: "battery", batteryPercent: 12 } },
  "battery low, started by hand": {
    evidence: { power: "battery", batteryPercent: 12 },
    override: by("run", 2),
  },
  "battery charged to between the thresholds": {
    evidence: { power: "battery", batteryPercent: 25 },
    memory: { batteryLow: true },
  },
  "too hot": { evidence: { celsius: 101 } },
  "too hot, started by an agent": { evidence: { celsius: 101 }, override: by("run", 2, "agent") },
  "cooling down": { evidence: { celsius: 90 }, memory: { tooHot: true } },
  "data used up": { rules: { monthlyMegabytes: 10 }, evidence: { monthBytes: 11e6 } },
  "disk quota used up": { rules: { diskMegabytes: 100 }, evidence: { folderBytes: 96e6 } },
  "nobody there": { rules: idle },
  "in use": { rules: idle, evidence: { idleSeconds: 5 } },
  "in use, outside the hours": { rules: { ...idle, schedule: "windows" }, evidence: { idleSeconds: 5 } },
  "idle unknown": { rules: idle, evidence: { idleSeconds: null } },
  locked: { rules: idle, evidence: { idleSeconds: 90, screenLocked: true } },
  "a film": { rules: idle, evidence: { screenInUse: true } },
  "a film, and films unknown elsewhere": { rules: idle, evidence: { screenInUse: null } },
  "from afar": { rules: idle, evidence: { remoteSession: true } },
  "a named program": { rules: { apps: ["steam"] }, evidence: { appsRunning: ["steam"] } },
  "programs unknown": { rules: { apps: ["steam"] } },
  "others busy": { rules: { load }, evidence: { othersLoad: 80 } },
  "load unknown": { rules: { load } },
  metered: { rules: { notOnMetered: true }, evidence: { metered: true } },
  "named network": { rules: { notOnNetworks: ["Cafe"] }, evidence: { networks: ["Cafe"] } },
  "network unknown": { rules: { notOnMetered: true } },
  "often interrupted": {
    rules: idle,
    memory: { starts: [50, 40, 30, 20, 10, 5].map((m) => NOON - m * 60_000) },
  },
  "paused for two hours": { override: by("pause", 2) },
  "paused into the day of a night schedule": { rules: ONLY_WHEN_ASLEEP, override: by("pause", 2) },
  "paused without an end": { override: by("pause", null) },
  "paused while in use": { rules: idle, evidence: { idleSeconds: 5 }, override: by("pause", 2) },
  "paused from the tray until tomorrow": { override: by("pause", 19, "tray") },
  "paused by an agent": { override: by("pause", 1, "agent") },
  "finishing the step": { override: { ...by("finish", null), since: NOON } },
  "finishing took too long": { override: by("finish", null) },
  "started by hand, outside the hours": { rules: ONLY_WHEN_ASLEEP, override: by("run", 3) },
  "started by hand, while in use": { rules: idle, evidence: { idleSeconds: 5 }, override: by("run", 3) },
  "started by an agent, outside the hours": { rules: ONLY_WHEN_ASLEEP, override: by("run", 3, "agent") },
  "started by an agent, while in use": {
    rules: idle,
    evidence: { idleSeconds: 5 },
    override: by("run", 3, "agent"),
  },
  "started for a gap": { override: { ...by("run", 3), thenQuit: true } },
  "allowed, and getting ready": { state: node("loading", "Loading slice 2 of 3 at step 120.") },
  "allowed, and getting ready at night": {
    rules: ONLY_WHEN_ASLEEP,
    at: NIGHT,
    state: node("starting", "Starting."),
  },
  "allowed, its slice is ready, and others load theirs": {
    rules: ONLY_WHEN_ASLEEP,
    at: NIGHT,
    state: { ...node("training", "Training slice 2 of 3."), ...run("forming", "2 of 3 slices are loaded.") },
  },
  "allowed, its slice is ready, and another home is missing": {
    state: {
      ...node("training", "Training slice 2 of 3."),
      ...run("waiting", "Waiting for 1 more computer: slice 3 is looking for a home."),
      network: { ...working.network, kind: "remote", name: "Maple Street", url: "https://203.0.113.1:1" },
    },
  },
  "all steps are done": {
    state: { ...node("waiting", "The run is finished."), ...run("finished", "All 60 steps are done.") },
  },
  "allowed, and failed": { state: node("failed", "The model could not be loaded.") },
  "working, and not paid": {
    state: {
      node: {
        ...working.node,
        unpaid: "This work is not paid: only computers of the same owner could vouch for it.",
      },
    },
  },
  "working, and receipts are refused": {
    state: {
      node: {
        ...working.node,
        refused:
          "The network has refused 3 receipts since it paid one: their steps were not finished by all slices (not-finished).",
      },
    },
  },
  "without a slice, and the network does not say why": {
    state: {
      node: { ...working.node, phase: "waiting", detail: "Waiting for a slice to train.", stage: null },
    },
  },
  "in reserve": {
    state: {
      node: {
        ...working.node,
        phase: "waiting",
        detail:
          "In reserve: every slice has 32 computers, as many as one may have. It takes over where one is lost, and earns nothing meanwhile.",
        stage: null,
      },
    },
  },
  "in reserve, while others load": {
    state: {
      node: {
        ...working.node,
        phase: "waiting",
        detail:
          "In reserve: others hold every slice. It takes over where one is lost, and earns nothing meanwhile.",
        stage: null,
      },
      ...run("forming", "2 of 3 slices are loaded."),
    },
  },
  "too small for any slice": {
    rules: ONLY_WHEN_ASLEEP,
    at: NIGHT,
    state: {
      node: {
        ...working.node,
        phase: "waiting",
        detail:
          "The smallest slice needs 1.20 GB of memory, and this computer may give 0.38 GB: three quarters of the 0.50 GB that it has or its owner allows. It earns nothing meanwhile.",
        stage: null,
      },
    },
  },
  "put aside for a step": {
    state: {
      node: {
        ...working.node,
        phase: "waiting",
        detail:
          "Other computers do its part of this step: it gave no sign of life for a moment (silent). It takes part again as soon as it has their state.",
      },
    },
  },
  "its end is near": {
    state: {
      node: {
        ...working.node,
        phase: "waiting",
        detail: "Its end is near: it begins nothing new, and other computers go on with slice 2.",
      },
    },
  },
  "the network is away": {
    state: {
      network: {
        ...working.network,
        kind: "remote",
        name: "Maple Street",
        url: "https://203.0.113.1:1",
        away: { since: NOON, nextTryAt: NOON + 8000, why: "nothing answers there" },
      },
    },
  },
  "the clock is wrong": {
    state: {
      problem: {
        code: "clock-wrong",
        message:
          "This computer's clock is 95 s ahead of the network's. Requests are dated by the network's clock meanwhile, so nothing that was earned is lost: set the clock, best by the internet.",
      },
    },
  },
  "it is ending": { state: node("ending", "Train at Home is ending.") },
  "no window at all": { rules: { schedule: "windows" } },
  "kept awake": {
    state: {
      policy: {
        ...working.policy,
        awake: {
          wanted: true,
          held: "caffeinate",
          text: "The computer does not go to sleep by itself while it works (caffeinate).",
        },
      },
    },
  },
};

function stateOf(one: Case): { state: DaemonState; now: number } {
  const { rules, evidence, override = null, memory, at = NOON, state = {} } = one;
  const all: Rules = { ...ALWAYS, ...rules };
  const known = { ...away, ...evidence };
  const latched = remember(all, known, { ...NOTHING_REMEMBERED, ...memory }, at);
  const decision = decide(all, known, override, at, ZONE, latched);
  const policy = { ...working.policy, missing: missingEvidence(all, known, null) };
  const paused = decision.action === "pause" ? node("paused", "Paused.") : {};
  return { state: { ...working, rules: all, decision, override, policy, ...paused, ...state }, now: at };
}

test("the table has more than forty states", () => {
  expect(Object.keys(CASES).length).toBeGreaterThanOrEqual(45);
});

test.each(Object.entries(CASES))("every surface says the same: %s", async (_, one) => {
  const { state, now } = stateOf(one);
  const said = why(state, now);
  const cli = whyText(said);
  // The first line of status, of why and of the tray; the dashboard sets the word apart.
  expect(statusText(state, now).split("\n")[0]).toBe(said.headline);
  expect(cli.split("\n")[0]).toBe(said.headline);
  expect(trayView({ kind: "connected" }, state, now).menu).toContainEqual({
    text: situationText(state, now),
  });
  const { word, reason } = headline(state, now);
  expect(`${word}: ${reason}`.toLowerCase()).toBe(said.headline.toLowerCase());
  // The reasons, in their order.
  expect(whyRows(state.decision).map(({ code, text }) => [code, text])).toEqual(
    said.reasons.map(({ code, text }) => [code, text]),
  );
  const tool = TOOLS.find(({ name }) => name === "why");
  const agent = await tool?.call({ call: async () => state } as never, {}, new Date(now));
  expect(agent?.text).toBe(cli);
  expect(agent?.data["reasons"]).toEqual(said.reasons);
});

test("and it is this, word for word", async () => {
  const text = Object.entries(CASES)
    .map(([name, one]) => {
      const { state, now } = stateOf(one);
      return `== ${name}\n${whyText(why(state, now))}\n`;
    })
    .join("\n");
  await expect(text).toMatchFileSnapshot(join(import.meta.dirname, "fixtures", "why.golden.txt"));
});

test("while the network is away, nothing that is said beside it calls the worker at work", () => {
  const { state, now } = stateOf(CASES["the network is away"] as Case);
  const trains = { ...state, ...node("training", "Training slice 2 of 3.") };
  expect(statusText(trains, now)).toMatch(/^Waiting: cannot reach Maple Street/);
  expect(statusText(trains, now)).not.toContain("Training slice");
});

test("who has loaded its slice is said to work when all have, and nowhere before", () => {
  const { state, now } = stateOf(CASES["allowed, its slice is ready, and others load theirs"] as Case);
  const status = statusText(state, now);
  expect(status).toMatch(/^Getting ready: 2 of 3 slices are loaded\./);
  for (const untrue of ["Working", "Training slice", "at work"]) expect(status).not.toContain(untrue);
  expect(trayView({ kind: "connected" }, state, now).icon).toBe("waiting");
  const begun = { ...state, ...run("training", "Training: step 21.") };
  expect(statusText(begun, now)).toMatch(/^Working: [\s\S]*Training slice 2 of 3\.[\s\S]*are at work/);
});

test("what was refused is told in status, why and with what was earned", () => {
  const { state, now } = stateOf(CASES["working, and receipts are refused"] as Case);
  const refused = /^(Refused: {3})?The network has refused 3 receipts since it paid one: /m;
  for (const text of [statusText(state, now), whyText(why(state, now)), earningsText(state, now)])
    expect(text).toMatch(refused);
});

test("who was put aside is not said to work, and reads why in status and why", () => {
  const { state, now } = stateOf(CASES["put aside for a step"] as Case);
  for (const text of [statusText(state, now), whyText(why(state, now))]) {
    expect(text).toContain("it gave no sign of life for a moment (silent)");
    expect(text).not.toMatch(/^Working/);
  }
});
