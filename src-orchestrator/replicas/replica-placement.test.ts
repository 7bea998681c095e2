import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { capacitiesOf, coverFor, HORIZON_MS, moveFor, stageFor } from "./replica-placement.ts";
import type { Placed, Pools } from "./replica-placement.ts";

const NOW = 1_000_000;
const anywhere = (): boolean => true;

function member(id: number, stage: number, change: Partial<Placed> = {}): Placed {
  const key = `node-${id}` as SessionKey;
  return {
    key,
    owner: `owner-${id}` as Ss58Address,
    stage,
    speed: 10,
    endsAt: null,
    isLive: true,
    ...change,
  };
}

function pools(members: readonly Placed[], change: Partial<Pools> = {}): Pools {
  return { flops: [100, 100, 100], members, most: 1_000, now: NOW, ...change };
}

const stranger = { owner: "somebody" as Ss58Address, canHold: anywhere };

describe("a newcomer", () => {
  it("gets the stage that can do least, which need not be the one with the fewest computers", () => {
    const members = [
      member(1, 0),
      member(2, 0),
      member(3, 1),
      member(4, 2, { speed: 5 }),
      member(5, 2, { speed: 4 }),
    ];
    expect(stageFor(stranger, pools(members))).toBe(2);
  });

  it("gets the stage whose computers have said that they end soon", () => {
    const endsAt = NOW + HORIZON_MS / 3;
    expect(stageFor(stranger, pools([member(1, 0), member(2, 1, { endsAt }), member(3, 2)]))).toBe(1);
  });

  it("gets the stage that has more to do for each micro-batch", () => {
    const members = [member(1, 0), member(2, 1), member(3, 2)];
    expect(stageFor(stranger, pools(members, { flops: [100, 100, 300] }))).toBe(2);
  });

  it("is kept apart from the other computers of its owner, where that costs little", () => {
    const owner = "owner-1" as Ss58Address;
    const even = [member(1, 0), member(2, 1), member(3, 2)];
    expect(stageFor({ owner, canHold: anywhere }, pools(even))).toBe(2);
    const lacking = [...even.slice(0, 2), member(3, 2), member(4, 2)];
    expect(stageFor({ owner, canHold: anywhere }, pools(lacking))).toBe(0);
  });

  it("gets none where it has not the memory, or all have as many as they may", () => {
    expect(stageFor({ ...stranger, canHold: (stage) => stage === 1 }, pools([]))).toBe(1);
    expect(stageFor({ ...stranger, canHold: () => false }, pools([]))).toBeNull();
    expect(stageFor(stranger, pools([member(1, 0)], { flops: [1], most: 1 }))).toBeNull();
  });
});

describe("a move", () => {
  it("goes from the richest stage to the poorest, by the computer that fits best", () => {
    const members = [
      member(1, 0, { speed: 30 }),
      member(2, 0),
      member(3, 0),
      member(4, 1, { speed: 30 }),
      member(5, 2),
    ];
    expect(moveFor(pools(members), anywhere)).toEqual({ key: "node-1", to: 2 });
    expect(moveFor(pools(members), (key) => key !== "node-1")).toEqual({ key: "node-2", to: 2 });
  });

  it("is not made for a small difference, nor when it only turns the difference round", () => {
    const three = [member(1, 0), member(2, 0), member(3, 0), member(4, 1), member(5, 1)];
    expect(moveFor(pools(three, { flops: [100, 100] }), anywhere)).toBeNull();
  });

  it("leaves somebody behind who works and stays", () => {
    const alone = [member(1, 0, { speed: 100 }), member(2, 1)];
    expect(moveFor(pools(alone, { flops: [100, 100] }), anywhere)).toBeNull();
    const ending = [
      member(1, 0, { speed: 50 }),
      member(3, 0, { speed: 50, endsAt: NOW + 60_000 }),
      member(2, 1),
    ];
    expect(moveFor(pools(ending, { flops: [100, 100] }), anywhere)?.key).not.toBe("node-1");
    const loading = [member(1, 0, { speed: 50 }), member(3, 0, { speed: 50, isLive: false }), member(2, 1)];
    expect(moveFor(pools(loading, { flops: [100, 100] }), anywhere)).toBeNull();
  });
});

describe("a poorest stage that has as many as it may", () => {
  const slow = { speed: 1 };
  const full = [member(1, 0), member(2, 0), member(3, 1, slow), member(4, 1, { speed: 2 }), member(5, 2)];
  const two = { most: 2 };
  const changed = (
    members: readonly Placed[],
    whose: (each: Placed) => boolean,
    change: Partial<Placed>,
  ): Placed[] => members.map((each) => (whose(each) ? Object.assign({}, each, change) : each));

  it("gets a faster one first, and then gives its slowest away to where there is room", () => {
    expect(moveFor(pools(full, two), anywhere)).toEqual({ key: "node-1", to: 1 });
    const coming = changed(full, ({ key }) => key === "node-1", { stage: 1, isLive: false });
    expect(moveFor(pools(coming, two), anywhere), "while it loads").toBeNull();
    const there = changed(coming, () => true, { isLive: true });
    expect(moveFor(pools(there, two), anywhere)).toEqual({ key: "node-3", to: 0 });
    const after = changed(there, ({ key }) => key === "node-3", { stage: 0 });
    expect(moveFor(pools(after, two), anywhere)).toBeNull();
  });

  it("keeps what it has where its slowest could go nowhere, or nobody else works there and stays", () => {
    expect(moveFor(pools(full, two), (key) => key !== "node-3")).toBeNull();
    const ending = changed(full, ({ stage }) => stage === 1, { endsAt: NOW + HORIZON_MS / 2 });
    expect(moveFor(pools(ending, two), anywhere)).toBeNull();
  });
});

const anyMember = fc.record({
  stage: fc.nat(3),
  speed: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 100 })),
  endsAt: fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    fc.integer({ min: NOW - 10, max: NOW + 2 * HORIZON_MS }),
  ),
  isLive: fc.boolean(),
  owner: fc.constantFrom("a", "b", "c", "d"),
});

it("moves, however often they are asked for, end, make no poorest stage poorer, and uncover none", () => {
  fc.assert(
    fc.property(
      fc.array(anyMember, { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 4, maxLength: 4 }),
      fc.constantFrom(1_000, 9, 8, 7),
      (drawn, flops, most) => {
        const members = drawn.map((each, id) =>
          member(id, each.stage, { ...each, owner: each.owner as Ss58Address }),
        );
        const now = (): Pools => pools(members, { flops, most });
        const works = (): number =>
          new Set(members.filter(({ isLive }) => isLive).map(({ stage }) => stage)).size;
        const isOver = (): boolean =>
          [0, 1, 2, 3].some((stage) => members.filter((each) => each.stage === stage).length > most);
        fc.pre(!isOver());
        let least = Math.min(...capacitiesOf(now()));
        for (let moves = 0; ; moves++) {
          expect(moves).toBeLessThan(200);
          const before = works();
          const move = moveFor(now(), anywhere);
          if (move === null) break;
          const index = members.findIndex(({ key }) => key === move.key);
          members[index] = { ...(members[index] ?? member(index, 0)), stage: move.to };
          expect(works()).toBeGreaterThanOrEqual(before);
          // One that changes places with another is there before that one goes.
          if (isOver()) continue;
          const after = Math.min(...capacitiesOf(now()));
          expect(after).toBeGreaterThanOrEqual(least);
          least = after;
        }
        expect(isOver() && members.every(({ isLive }) => isLive)).toBe(false);
      },
    ),
    { numRuns: 300 },
  );
});

it("newcomers never leave a stage uncovered that they could hold", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", "b", "c"), { minLength: 4, maxLength: 20 }), (owners) => {
      const members: Placed[] = [];
      for (const [id, name] of owners.entries()) {
        const owner = name as Ss58Address;
        const stage = stageFor({ owner, canHold: anywhere }, pools(members, { flops: [1, 1, 1, 1] }));
        members.push(member(id, stage ?? -1, { owner }));
        expect(new Set(members.map((each) => each.stage)).size).toBe(Math.min(4, id + 1));
      }
    }),
  );
});

describe("a stage of which everybody has said that they end soon", () => {
  const soon = { endsAt: NOW + 5 * 60_000 };

  it("gets one who stays, from the richest stage, however even the stages are", () => {
    const members = [
      member(1, 0),
      member(2, 0),
      member(3, 1, soon),
      member(4, 2),
      member(5, 2),
      member(6, 2),
    ];
    expect(coverFor(pools(members), anywhere)).toEqual({ key: "node-4", to: 1 });
  });

  it("gets nobody while another one is loading it, or stays", () => {
    const even = [member(1, 0), member(2, 0), member(3, 1, soon), member(4, 2), member(5, 2)];
    expect(coverFor(pools([...even, member(6, 1, { isLive: false })]), anywhere)).toBeNull();
    expect(coverFor(pools([...even, member(6, 1)]), anywhere)).toBeNull();
  });

  it("gets nobody whose own stage would be left to those who end soon", () => {
    const members = [member(1, 0), member(2, 0, soon), member(3, 1, soon), member(4, 2)];
    expect(coverFor(pools(members), anywhere)).toBeNull();
  });

  it("gets nobody without the memory for it", () => {
    const members = [member(1, 0), member(2, 0), member(3, 1, soon), member(4, 2), member(5, 2)];
    expect(coverFor(pools(members), (key) => key === "node-5")).toEqual({ key: "node-5", to: 1 });
  });
});
