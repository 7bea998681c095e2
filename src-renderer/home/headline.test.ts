import { expect, test } from "vitest";
import { NO_SLICE_YET } from "../../src-protocol/node-phase.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { workingState } from "../../src-protocol/working-state.test-support.ts";
import { headline } from "./headline.ts";

const now = Date.parse("2026-11-23T22:00:00Z");
const state = (change: Partial<DaemonState>) => headline({ ...workingState(), ...change }, now);
const phase = (phase: DaemonState["node"]["phase"], detail = "") => ({
  ...workingState().node,
  phase,
  detail,
});

test("while it trains: the word, the slice and why", () => {
  expect(state({})).toEqual({
    tone: "working",
    word: "Working",
    slice: "slice 2 of 3",
    reason: "Your schedule allows any time.",
  });
});

test("a pause by hand is not the same as waiting for the schedule", () => {
  const pause = {
    action: "pause",
    reasons: ["manual-pause", "always-allowed"],
    nextChange: { at: now + 1_800_000, action: "run" },
  } as const;
  const paused = state({
    decision: { ...pause, reasons: [...pause.reasons] },
    override: { action: "pause", since: now, until: now + 1_800_000, by: "dashboard" },
  });
  expect(paused.word).toBe("Paused");
  expect(paused.reason).toMatch(/^Until \d\d:\d\d\. Then it goes on\.$/);
  const waiting = state({ decision: { action: "pause", reasons: ["outside-schedule"], nextChange: null } });
  expect(waiting.word).toBe("Waiting");
});

test("while it gets ready it says what it does", () => {
  const ready = state({ node: phase("loading", "loading step 120") });
  expect([ready.tone, ready.word, ready.reason]).toEqual([
    "getting-ready",
    "Getting ready",
    "Loading step 120.",
  ]);
});

test("a failed worker is called stopped, and no slice is claimed", () => {
  const failed = state({ node: phase("failed", "The model could not be loaded.") });
  expect([failed.word, failed.slice, failed.reason]).toEqual([
    "Stopped",
    null,
    "The model could not be loaded.",
  ]);
});

test("on this computer alone it says that newer work is waited for, and how much would be lost", () => {
  const { run } = workingState();
  if (run === null) throw new Error("no run");
  const detail =
    "Waiting for a computer that has the newest work: without it, 40 steps would be lost. It is waited for until 18:40:00 UTC.";
  const waiting = (text: string) =>
    state({ node: phase("waiting", NO_SLICE_YET), run: { ...run, phase: "waiting", detail: text } });
  expect(waiting(detail)).toMatchObject({
    word: "Waiting",
    reason: expect.stringMatching(/^For a computer that has the newest work: .* until \d\d:40\.$/),
  });
  expect(waiting("Waiting for 1 more computer: slice 1 is looking for a home.").word, "is on its way").toBe(
    "Getting ready",
  );
});

test("in a joined network it says which homes it waits for, and that the network cannot be reached", () => {
  const { network, run } = workingState();
  if (run === null) throw new Error("no run");
  const remote = { ...network, kind: "remote", name: "Maple Street", url: "https://203.0.113.1:1" } as const;
  const waiting = {
    node: phase("waiting", "The computer of slice 2 left."),
    run: { ...run, phase: "waiting", detail: "Waiting for 1 more computer: slice 2 is looking for a home." },
  } as const;
  const { word, reason } = state({ ...waiting, network: remote });
  expect([word, reason]).toEqual(["Waiting", "For 1 more computer: slice 2 is looking for a home."]);
  const away = { since: now, nextTryAt: now + 8_000, why: "nothing answers there" };
  const id = "ab".repeat(8);
  const asked = { id, network: "Maple Street", resumeStep: 0, lostSteps: 40 };
  expect(state({ ...waiting, network: { ...remote, id }, asked }).reason, "its operator sits here").toBe(
    "For your decision. Without the computers that are away, 40 steps would be lost.",
  );
  expect(state({ ...waiting, network: remote, asked }).reason, "of another network").toMatch(/^For 1 more/);
  const lost = state({ ...waiting, network: { ...remote, away } });
  expect(lost.reason).toMatch(/^Cannot reach Maple Street at https:.* since .*; tries again in 8 s\.$/);
});
