import { describe, expect, it } from "vitest";
import { sessionKey } from "../../src-protocol/keys.ts";
import { afterAnswer, afterFailure, afterSending, newcomer, route } from "./route.ts";
import type { ReplicaLoad } from "./route.ts";

const key = (i: number) => sessionKey.parse(i.toString(16).padStart(64, "0"));
const load = (i: number, change: Partial<ReplicaLoad> = {}): ReplicaLoad => ({
  sessionKey: key(i),
  workMs: 100,
  linkMs: 10,
  freeAt: 0,
  failures: 0,
  asideUntil: 0,
  ...change,
});
const never = (): number => {
  throw new Error("Few replicas are compared without drawing.");
};

function share(loads: readonly ReplicaLoad[], microBatches: number, draw = never): Map<string, number> {
  const sent = new Map<string, number>();
  let all = loads;
  for (let i = 0; i < microBatches; i++) {
    const to = route(all, 0, draw);
    all = all.map((each) => (each.sessionKey === to ? afterSending(each, 0) : each));
    sent.set(to ?? "nobody", (sent.get(to ?? "nobody") ?? 0) + 1);
  }
  return sent;
}

describe("the route of a micro-batch", () => {
  it("gives a node that is five times slower a fifth of the work, not a timeout", () => {
    const sent = share([load(1), load(2, { workMs: 500 })], 600);
    expect(sent.get(key(1))).toBe(500);
    expect(sent.get(key(2))).toBe(100);
  });

  it("waits in the queue of a near node rather than cross a slow link", () => {
    const far = load(2, { linkMs: 1000 });
    expect(route([load(1, { freeAt: 900 }), far], 0, never)).toBe(key(1));
    expect(route([load(1, { freeAt: 1100 }), far], 0, never)).toBe(key(2));
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
    expect(route([failed, load(2, { workMs: 9999 })], 59_999, never)).toBe(key(2));
    expect(route([failed], 59_999, never)).toBeNull();
    expect(route([failed], 60_000, never)).toBe(key(1));
    expect(afterFailure(afterAnswer(failed, 100), 0).asideUntil).toBe(500);
  });

  it("spreads over many by the better of two that are drawn", () => {
    let seed = 7;
    const draw = (): number => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const sent = share(
      Array.from({ length: 20 }, (_, i) => load(i)),
      2000,
      draw,
    );
    expect(sent.size).toBe(20);
    expect(Math.max(...sent.values()) - Math.min(...sent.values())).toBeLessThanOrEqual(20);
  });

  it("tries a newcomer like the best of the others, and not with all that comes next", () => {
    const others = [load(1, { freeAt: 3000 }), load(2, { freeAt: 2000, workMs: 50 })];
    const arrived = newcomer(key(3), others, 0);
    expect(arrived).toMatchObject({ workMs: 50, freeAt: 2000 });
    expect(share([...others, arrived], 100).get(key(3))).toBeLessThan(60);
  });
});
