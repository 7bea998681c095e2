import { expect, it } from "vitest";
import { EpochClaims } from "./epoch-claims.ts";

const BLOCK_MS = 12_000;
const NOW = 1_800_000_000_000;

function claims() {
  const state = { now: NOW, claimed: 0, jobs: [] as { at: number; fire: () => void; gone: boolean }[] };
  const epochs = new EpochClaims({
    claim: () => {
      state.claimed += 1;
      return Promise.resolve();
    },
    failed: () => undefined,
    now: () => state.now,
    random: () => 0.5,
    schedule(at, fire) {
      const job = { at: at.getTime(), fire, gone: false };
      state.jobs.push(job);
      return { cancel: () => (job.gone = true) };
    },
  });
  return { state, epochs };
}

it("claims once at the end of each epoch of the network's clock, half a minute apart from the others", () => {
  const { state, epochs } = claims();
  epochs.heard({ block: 350, nextEpoch: 360, blockMs: BLOCK_MS });
  expect(epochs.nextAt).toBe(NOW + 10 * BLOCK_MS + 30_000);
  // Asked every few seconds: one plan.
  state.now += 5 * BLOCK_MS;
  epochs.heard({ block: 355, nextEpoch: 360, blockMs: BLOCK_MS });
  expect(state.jobs).toHaveLength(1);
  state.now = NOW + 10 * BLOCK_MS + 30_000;
  state.jobs[0]?.fire();
  expect(state.claimed).toBe(1);
  epochs.heard({ block: 362, nextEpoch: 720, blockMs: BLOCK_MS });
  expect([state.claimed, state.jobs.length]).toEqual([1, 2]);
});

it("claims late for an epoch that ended while the computer slept", () => {
  const { state, epochs } = claims();
  epochs.heard({ block: 350, nextEpoch: 360, blockMs: BLOCK_MS });
  state.now += 400 * BLOCK_MS;
  epochs.heard({ block: 750, nextEpoch: 1080, blockMs: BLOCK_MS });
  expect(state.claimed).toBe(1);
  expect(state.jobs.map(({ gone }) => gone)).toEqual([true, false]);
});

it("plans anew when a clock was set, and claims nothing after it was stopped", () => {
  const { state, epochs } = claims();
  epochs.heard({ block: 0, nextEpoch: 360, blockMs: BLOCK_MS });
  state.now -= 86_400_000;
  epochs.heard({ block: 1, nextEpoch: 360, blockMs: BLOCK_MS });
  expect(state.jobs.map(({ gone }) => gone)).toEqual([true, false]);
  epochs.stop();
  state.jobs[1]?.fire();
  expect([state.claimed, epochs.nextAt]).toEqual([0, null]);
});
