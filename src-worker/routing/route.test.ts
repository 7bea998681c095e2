import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import {
  afterAnswer,
  afterBacklog,
  afterFailure,
  afterSending,
  afterStep,
  afterTelling,
  believable,
  newcomer,
  route,
  virtualFinish,
} from "./route.ts";
import type { ReplicaLoad } from "./route.ts";

const key = (i: number) => sessionKey.parse(i.toString(16).padStart(64, "0"));
const load = (i: number, change: Partial<ReplicaLoad> = {}): ReplicaLoad => ({
  sessionKey: key(i),
  workMs: 100,
  waiting: 0,
  sent: 0,
  taken: 0,
  backlogMs: 0,
  toldAt: 0,
  linkMs: 0,
  failures: 0,
  asideUntil: 0,
  ...change,
});
const sentTo = (one: ReplicaLoad, times: number): ReplicaLoad =>
  Array.from({ length: times }).reduce<ReplicaLoad>((all) => afterSending(all), one);
const half = (): number => 0.5;

function drawn(): () => number {
  let seed = 7;
  return () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
}

/** Micro-batches sent one after another, of which none comes back. */
function share(loads: readonly ReplicaLoad[], microBatches: number, draw: () => number): Map<string, number> {
  const sent = new Map<string, number>();
  let all = loads;
  for (let i = 0; i < microBatches; i++) {
    const to = route(all, 0, draw);
    all = all.map((each) => (each.sessionKey === to ? afterSending(each) : each));
    sent.set(to ?? "nobody", (sent.get(to ?? "nobody") ?? 0) + 1);
  }
  return sent;
}

/** What a lost replica had, sent again by 30 computers of its stage before at one moment. */
function heap(loads: readonly ReplicaLoad[], each: number, senders: number): number[] {
  const draw = drawn();
  const work = loads.map(({ backlogMs }) => backlogMs);
  for (let sender = 0; sender < 30; sender++) {
    let known = loads;
    for (let i = 0; i < each; i++) {
      const to = route(known, 0, draw, senders);
      known = known.map((load) => (load.sessionKey === to ? afterSending(load) : load));
      const at = loads.findIndex(({ sessionKey }) => sessionKey === to);
      work[at] = (work[at] ?? 0) + (loads[at]?.workMs ?? 0);
    }
  }
  return work;
}

it("what a lost replica had is spread over the others, though all send it at once and know the same", () => {
  const loads = Array.from({ length: 30 }, (_, i) =>
    load(i, { workMs: 50 * 2 ** (i % 4), backlogMs: i % 5 === 0 ? 0 : 500 }),
  );
  // All of them would be done after so long.
  const speed = loads.reduce((sum, { workMs }) => sum + 1 / workMs, 0);
  const even = (30 * 20 + loads.reduce((sum, { backlogMs, workMs }) => sum + backlogMs / workMs, 0)) / speed;
  expect(Math.max(...heap(loads, 20, 1)) / even, "each as if it were alone").toBeGreaterThan(2.5);
  expect(Math.max(...heap(loads, 20, 30)) / even).toBeLessThan(1.6);
});

describe("the route of a micro-batch", () => {
  it("gives a node that is five times slower a fifth of the work, not a timeout", () => {
    const sent = share([load(1), load(2, { workMs: 500 })], 600, half);
    expect(sent.get(key(1))).toBe(500);
    expect(sent.get(key(2))).toBe(100);
  });

  it("gives one that gets slower step by step less with each of them, in the measure in which it does", () => {
    let slow = load(2);
    const shares: number[] = [];
    for (const workMs of [100, 200, 400, 800, 1_600]) {
      // It tells of itself often enough in a step for the average to have come along.
      for (let i = 0; i < 40; i++) slow = afterTelling(slow, workMs, false);
      shares.push(share([load(1), slow], 1_700, half).get(key(2)) ?? 0);
    }
    expect(shares[0]).toBe(850);
    for (const [i, each] of shares.entries()) expect(each).toBeCloseTo(1_700 / (1 + 2 ** i), -1);
  });

  it("goes to a slow one that is free rather than to a fast one with a queue", () => {
    const slow = load(2, { workMs: 500 });
    expect(route([sentTo(load(1), 2), slow], 0, half)).toBe(key(1));
    expect(route([sentTo(load(1), 3), slow], 0, half)).toBe(key(2));
  });

  it("goes where others have sent less, by what each has told, less the time that has passed since", () => {
    const crowded = afterBacklog(load(1), { backlogMs: 400, taken: 0 }, null, 1_000);
    const route2 = (sent: number, now: number) => route([crowded, sentTo(load(2), sent)], now, half);
    expect(route2(3, 1_000)).toBe(key(2));
    expect(route2(5, 1_000)).toBe(key(1));
    expect(route2(3, 1_200)).toBe(key(1));
    expect(route([afterStep(crowded), sentTo(load(2), 1)], 1_000, half)).toBe(key(1));
  });

  it("counts once what it has sent: in what was told, or beside it when it was not there yet", () => {
    const three = sentTo(load(1), 3);
    const told = afterBacklog(three, { backlogMs: 150, taken: 2 }, null, 0);
    expect(virtualFinish(told, 0, 0.5)).toBe(150 + 150);
    expect(virtualFinish(afterAnswer(afterAnswer(afterAnswer(told))), 0, 0.5)).toBe(150 + 50);
    expect(virtualFinish(afterBacklog(three, { backlogMs: 0, taken: 99 }, null, 0), 0, 0.5)).toBe(50);
  });

  it("takes a longer way only where that is sooner done", () => {
    const far = afterBacklog(load(1), { backlogMs: 0, taken: 0 }, 250, 0);
    expect(route([far, sentTo(load(2), 2)], 0, half)).toBe(key(2));
    expect(route([far, sentTo(load(2), 3)], 0, half)).toBe(key(1));
  });

  it("believes nobody to be more than eight times as fast as the best of the others", () => {
    expect(believable(0.001, [100, 300])).toBe(12.5);
    expect(believable(1_000, [100])).toBe(1_000);
    expect(afterTelling(load(1), 1_000, true).workMs).toBe(1_000);
    expect(afterTelling(load(1), 1_000, false).workMs).toBe(280);
  });

  it("goes to nobody who failed until a pause is over, which doubles with each failure in a row, to a minute", () => {
    let failed = load(1);
    const pauses: number[] = [];
    for (let i = 0; i < 10; i++) {
      failed = afterFailure(failed, 0);
      pauses.push(failed.asideUntil);
    }
    expect(pauses.slice(0, 4)).toEqual([500, 1000, 2000, 4000]);
    expect(pauses.at(-1)).toBe(60_000);
    expect(route([failed, load(2, { workMs: 9999 })], 59_999, half)).toBe(key(2));
    expect(route([failed], 59_999, half)).toBeNull();
    expect(route([failed], 60_000, half)).toBe(key(1));
    expect(afterFailure(afterAnswer(failed), 0).asideUntil).toBe(500);
  });

  it("spreads over many by the best of a few that are drawn", () => {
    const sent = share(
      Array.from({ length: 100 }, (_, i) => load(i)),
      2000,
      drawn(),
    );
    expect(sent.size).toBe(100);
    expect(Math.max(...sent.values()) - Math.min(...sent.values())).toBeLessThanOrEqual(20);
  });

  it("tries a newcomer like the best of the others, and not with all that comes next", () => {
    const others = [sentTo(load(1), 3), sentTo(load(2, { workMs: 50 }), 2)];
    const arrived = newcomer(key(3), others, 1);
    expect(arrived).toMatchObject({ workMs: 50, waiting: 0 });
    expect(share([...others, arrived], 100, half).get(key(3))).toBeLessThan(60);
  });
});
