import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, onDial, planDial, roadName } from "./dial-plan.ts";
import type { DialState, DialWishes } from "./dial-plan.ts";

const LAN = { host: "192.168.1.9", port: 7000 };
const PUBLIC = { host: "203.0.113.9", port: 7000 };
const all: DialWishes = { addresses: [LAN, PUBLIC], hyperdht: true, byteRelay: "last", remembered: null };

/** Plays a race: `outcomes` say after how many ms a road opens (or fails, negative); time jumps to the next thing. */
function play(wishes: DialWishes, outcomes: Record<string, number>, withinMs = 8_000) {
  let now = 0;
  let state: DialState = planDial(wishes, now, withinMs);
  const due: { at: number; road: string; opens: boolean }[] = [];
  const started: [string, number][] = [];
  for (let turns = 0; turns < 500; turns++) {
    const { start, choose, givenUp, nextAt } = decide(state, now);
    if (choose !== null) return { won: roadName(choose), now, started };
    if (givenUp) return { won: null, now, started };
    for (const road of start) {
      const name = roadName(road);
      started.push([name, now]);
      state = onDial({ type: "started", road: name }, state, now);
      const after = outcomes[name];
      if (after !== undefined) due.push({ at: now + Math.abs(after), road: name, opens: after >= 0 });
    }
    if (start.length > 0) continue;
    due.sort((a, b) => a.at - b.at);
    const next = due[0];
    if (next !== undefined && next.at <= (nextAt ?? Infinity)) {
      due.shift();
      now = next.at;
      state = onDial(
        next.opens ? { type: "opened", road: next.road } : { type: "failed", road: next.road, why: "no" },
        state,
        now,
      );
    } else if (nextAt === null) throw new Error("the race waits for nothing");
    else now = nextAt;
  }
  throw new Error("the race does not end");
}

const lan = roadName({ by: "tls", address: LAN });
const open = roadName({ by: "tls", address: PUBLIC });

describe("a race of dials", () => {
  test("in one home the local network wins, and nobody waits for a relay", () => {
    const { won, now, started } = play(all, { [lan]: 15, hyperdht: 40, [open]: -5, "byte relay": 30 });
    expect([won, now]).toEqual([lan, 15]);
    expect(started.map(([road]) => road)).toEqual([lan, "hyperdht"]);
  });

  test("over the internet UDP wins over TCP, also when TCP is a little quicker", () => {
    expect(play(all, { hyperdht: 400, [open]: 20 }).won).toBe("hyperdht");
    expect(play(all, { [open]: 20 }).won).toBe(open);
  });

  test("a link that has lost its path gets the relay at once where nothing better is there", () => {
    const again: DialWishes = { ...all, byteRelay: "at once" };
    expect(play(again, { "byte relay": 80 })).toMatchObject({ won: "byte relay", now: 280 });
    expect(play(again, { "byte relay": 80, hyperdht: 150 })).toMatchObject({ won: "hyperdht", now: 150 });
  });

  test("where UDP is blocked and nobody can be dialled, the byte relay is there within 3 s", () => {
    const { won, now } = play(all, { "byte relay": 200 });
    expect(won).toBe("byte relay");
    expect(now).toBeLessThan(3_000);
  });

  test("when everything else has failed, the relay is not waited for", () => {
    const { won, now } = play(all, { [lan]: -5, [open]: -5, hyperdht: -10, "byte relay": 50 });
    expect(won).toBe("byte relay");
    expect(now).toBeLessThan(400);
  });

  test("what worked last time goes first", () => {
    const { started } = play({ ...all, remembered: "byte relay" }, { "byte relay": 50, hyperdht: 400 });
    expect(started).toContainEqual(["byte relay", 0]);
  });

  test("a peer that refuses is dialled again, more and more slowly, until the time is over", () => {
    const { won, now, started } = play(
      { ...all, byteRelay: "never", hyperdht: false },
      { [lan]: -1, [open]: -1 },
    );
    expect([won, now]).toEqual([null, 8_000]);
    const times = started.filter(([road]) => road === lan).map(([, at]) => at);
    expect(times.length).toBeGreaterThan(4);
    expect(times.length).toBeLessThan(12);
  });

  test("whatever opens when, it ends with an open road or at the deadline, and a better open one is never left", () => {
    const outcome = fc.option(fc.integer({ min: -3_000, max: 3_000 }), { nil: undefined });
    fc.assert(
      fc.property(fc.tuple(outcome, outcome, outcome, outcome), (times) => {
        const roads = [lan, "hyperdht", open, "byte relay"];
        const outcomes = Object.fromEntries(
          roads.flatMap((road, index) => (times[index] === undefined ? [] : [[road, times[index]]])),
        );
        const { won, now } = play(all, outcomes);
        const opens = roads.filter((road) => (outcomes[road] ?? -1) >= 0);
        expect(won === null).toBe(opens.length === 0);
        expect(now).toBeLessThanOrEqual(8_000);
        const isQuick = won !== null && (outcomes[won] ?? 0) <= 1_500;
        expect(isQuick ? now : 0).toBeLessThanOrEqual(3_200);
      }),
      { seed: 7, numRuns: 400 },
    );
  });
});
