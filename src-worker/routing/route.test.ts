import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import {
  afterAnswer,
  afterFailure,
  afterQueue,
  afterSending,
  afterStep,
  afterTelling,
  newcomer,
  route,
} from "./route.ts";
import type { ReplicaLoad } from "./route.ts";

const key = (i: number) => sessionKey.parse(i.toString(16).padStart(64, "0"));
const load = (i: number, change: Partial<ReplicaLoad> = {}): ReplicaLoad => ({
  sessionKey: key(i),
  workMs: 100,
  waiting: 0,
  othersWaiting: 0,
  linkMs: 0,
  failures: 0,
  asideUntil: 0,
  ...change,
});
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

describe("the route of a micro-batch", () => {
  it("gives a node that is five times slower a fifth of the work, not a timeout", () => {
    const sent = share([load(1), load(2, { workMs: 500 })], 600, half);
    expect(sent.get(key(1))).toBe(500);
    expect(sent.get(key(2))).toBe(100);
  });

  it("goes to a slow one that is free rather than to a fast one with a queue", () => {
    const slow = load(2, { workMs: 500 });
    expect(route([load(1, { waiting: 2 }), slow], 0, half)).toBe(key(1));
    expect(route([load(1, { waiting: 3 }), slow], 0, half)).toBe(key(2));
  });

  it("goes where others have sent less, by what each has told of its queue with its last answer", () => {
    const crowded = afterQueue(load(1), 4, null);
    expect(route([crowded, load(2, { waiting: 3 })], 0, half)).toBe(key(2));
    expect(route([crowded, load(2, { waiting: 5 })], 0, half)).toBe(key(1));
    expect(route([afterStep(crowded), load(2, { waiting: 1 })], 0, half)).toBe(key(1));
  });

  it("takes a longer way only where that is sooner done", () => {
    const far = afterQueue(load(1), 0, 250);
    expect(route([far, load(2, { waiting: 2 })], 0, half)).toBe(key(2));
    expect(route([far, load(2, { waiting: 3 })], 0, half)).toBe(key(1));
  });

  it("believes nobody to be more than eight times as fast as the best of the others", () => {
    const others = [load(2), load(3, { workMs: 300 })];
    expect(afterTelling(load(1), 0.001, true, others).workMs).toBe(12.5);
    expect(afterTelling(load(1), 1_000, true, others).workMs).toBe(1_000);
    expect(afterTelling(load(1), 1_000, false, others).workMs).toBe(280);
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

  it("spreads over many by the better of two that are drawn", () => {
    const sent = share(
      Array.from({ length: 100 }, (_, i) => load(i)),
      2000,
      drawn(),
    );
    expect(sent.size).toBe(100);
    expect(Math.max(...sent.values()) - Math.min(...sent.values())).toBeLessThanOrEqual(20);
  });

  it("tries a newcomer like the best of the others, and not with all that comes next", () => {
    const others = [load(1, { waiting: 3 }), load(2, { waiting: 2, workMs: 50 })];
    const arrived = newcomer(key(3), others, 1);
    expect(arrived).toMatchObject({ workMs: 50, waiting: 0 });
    expect(share([...others, arrived], 100, half).get(key(3))).toBeLessThan(60);
  });
});
