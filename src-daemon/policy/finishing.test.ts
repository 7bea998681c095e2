import { beforeEach, expect, test } from "vitest";
import type { DaemonState } from "../../src-protocol/state.ts";
import { workingState } from "../../src-protocol/working-state.test-support.ts";
import { Finishing } from "./finishing.ts";

const finish = { action: "finish", since: 5, until: null, by: "cli" } as const;
let state: DaemonState;
let paused: number;
let finishing: Finishing;

beforeEach(() => {
  state = { ...workingState(), override: finish };
  paused = 0;
  finishing = new Finishing({ state: () => state, done: () => (paused += 1) });
});

function withRun(changes: Partial<NonNullable<DaemonState["run"]>>): void {
  if (state.run !== null) state = { ...state, run: { ...state.run, ...changes } };
}

async function look(): Promise<number> {
  finishing.look();
  await Promise.resolve();
  return paused;
}

test("a pause after the step waits for the end of the one in hand", async () => {
  expect(await look()).toBe(0);
  withRun({ step: 21 });
  expect(await look()).toBe(1);
});

test("nothing is in hand, and waited for, while others still load their slices", async () => {
  withRun({ phase: "forming" });
  expect(await look()).toBe(1);
});
