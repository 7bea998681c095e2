import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ss58Address } from "../../src-protocol/keys.ts";
import { applyPatch } from "../../src-protocol/patch.ts";
import type { Json, PatchOperation } from "../../src-protocol/patch.ts";
import { ALWAYS } from "../../src-protocol/policy.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { EMBEDDED_CHAIN, embeddedNetwork, initialState } from "./initial-state.ts";
import { StateStore } from "./state-store.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const initial = initialState({
  version: "1",
  startedAt: 0,
  dataFolder: "/home",
  hotkey: ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
  policy: {
    decision: { action: "run", reasons: ["always-allowed"], nextChange: null },
    rules: ALWAYS,
    override: null,
  },
  network: embeddedNetwork(2, []),
  chain: EMBEDDED_CHAIN,
});
const at = (startedAt: number) => (state: DaemonState) => ({ ...state, startedAt });
const asJson = (state: DaemonState) => state as unknown as Json;

describe("the state tree", () => {
  it("sends what has changed, at most ten times a second", () => {
    const store = new StateStore(initial, Date.now);
    const patches: (readonly PatchOperation[])[] = [];
    store.subscribe((operations) => patches.push(operations));
    for (let step = 1; step <= 1000; step += 1) {
      store.update(at(step));
      vi.advanceTimersByTime(1);
    }
    vi.advanceTimersByTime(200);
    expect(patches.length).toBeGreaterThanOrEqual(9);
    expect(patches.length).toBeLessThanOrEqual(12);
    expect(patches.at(-1)).toEqual([{ path: ["startedAt"], value: 1000 }]);
  });

  it.each([
    ["back by six hours", -6],
    ["ahead by forty days", 40 * 24],
  ])("F11: goes on sending when the clock is set %s", (_, hours) => {
    let ahead = 0;
    const store = new StateStore(initial, () => Date.now() + ahead);
    const patches: (readonly PatchOperation[])[] = [];
    store.subscribe((operations) => patches.push(operations));
    store.update(at(1));
    vi.advanceTimersByTime(150);
    ahead = hours * 3_600_000;
    for (const step of [2, 3]) {
      store.update(at(step));
      vi.advanceTimersByTime(150);
    }
    expect(patches.map((operations) => operations[0]?.value)).toEqual([1, 2, 3]);
  });

  it("gives a late client the same state as an early one, also when a change was taken back", () => {
    const store = new StateStore(initial, Date.now);
    let early = asJson(store.subscribe((operations) => (early = applyPatch(early, operations))).state);
    store.update(at(1));
    let late = asJson(store.subscribe((operations) => (late = applyPatch(late, operations))).state);
    store.update(at(0));
    vi.advanceTimersByTime(1000);
    expect(late).toEqual(asJson(store.get()));
    expect(early).toEqual(late);
  });

  it("says nothing to a client that has gone", () => {
    const store = new StateStore(initial, Date.now);
    const listener = vi.fn<() => void>();
    store.subscribe(listener).unsubscribe();
    store.update(at(5));
    vi.advanceTimersByTime(1000);
    expect(listener).not.toHaveBeenCalled();
  });

  it("keeps the fifty newest lines of activity", () => {
    const store = new StateStore(initial, Date.now);
    for (let line = 0; line < 60; line += 1) store.note("work", `line ${line}`);
    expect(store.get().activity).toHaveLength(50);
    expect(store.get().activity[0]?.text).toBe("line 59");
  });
});
