import { describe, expect, it } from "vitest";
import { stageFacts } from "./stage-facts.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { Homes, trained } from "../replicas/homes.test-support.ts";
import { testRun } from "./fleet.test-support.ts";
import { teamMembers } from "./network-state.ts";

/** Alone a slice takes 0.4 GB; its sum is 0.1 GB, and who shares it keeps two of them, or three where each has two. */
const ALONE = [4e8, 4e8, 4e8];
const SUMS = ALONE.map(() => ({ values: 25e6, tiedValues: 0, boundaryBytes: 0 }));
/** May give 0.45 GB of it, and 1.5. */
const SMALL = { memoryBytes: 0.6e9 };
const LARGE = { memoryBytes: 2e9 };

const told = (homes: Homes, key: SessionKey): string[] =>
  homes.sent.flatMap(({ to, message }) => (to === key && message.type === "halt" ? [message.reason] : []));
const assigned = (homes: Homes, key: SessionKey) =>
  homes.sent.flatMap(({ to, message }) => (to === key && message.type === "assign" ? [message] : []));

describe("what a slice takes of who shares it", () => {
  it("keeps computers that have it alone, and could not share it, from being made to", () => {
    const homes = new Homes(2, [], ALONE, SUMS);
    for (let i = 0; i < 3; i++) homes.join(SMALL);
    homes.tick(5_000);
    expect(homes.state).toMatchObject({ phase: "training", team: null });
    const { generation } = homes.state;
    const fourth = homes.join(LARGE);
    expect(homes.state, "as if nobody had come").toMatchObject({ phase: "training", team: null, generation });
    const reason =
      "In reserve: others hold every slice, and sharing one takes 0.60 GB of memory, which not every computer has that would share it. It takes over where one is lost, and earns nothing meanwhile.";
    expect(told(homes, fourth)).toEqual([reason]);
    expect(reason.length).toBeLessThanOrEqual(200);
  });

  it("is what a newcomer is measured by, and told", async () => {
    const homes = new Homes(2, [], ALONE, SUMS);
    for (let i = 0; i < 4; i++) homes.join(LARGE);
    await trained(homes, 2);
    const small = homes.join(SMALL);
    expect(homes.stageOf(small)).toBeUndefined();
    expect(told(homes, small)).toEqual([
      "The smallest slice needs 0.60 GB of memory, and this computer may give 0.45 GB: three quarters of the 0.60 GB that it has or its owner allows. It earns nothing meanwhile.",
    ]);
    expect(homes.stageOf(homes.join(LARGE))).toBeDefined();
  });

  it("leaves small computers out where there are enough others that can share", () => {
    const homes = new Homes(2, [], ALONE, SUMS);
    homes.deaf = true;
    const small = [homes.join(SMALL), homes.join(SMALL)];
    const large = Array.from({ length: 4 }, () => homes.join(LARGE));
    homes.tick(5_000);
    expect(homes.state.team).not.toBeNull();
    expect([...teamMembers(homes.state).keys()].toSorted()).toEqual(large.toSorted());
    for (const key of small) expect(told(homes, key).at(-1)).toMatch(/^The smallest slice needs 0\.70 GB/);
  });

  it("is told to each worker by how many share it, so that it counts the same", async () => {
    const homes = new Homes(2, [], ALONE, SUMS);
    const first = homes.join(LARGE);
    for (let i = 0; i < 2; i++) homes.join(LARGE);
    expect(assigned(homes, first).map(({ replicas }) => replicas)).toEqual([undefined]);
    const later = [homes.join(LARGE), homes.join(LARGE), homes.join(LARGE)];
    await trained(homes, 2);
    expect(later.map((key) => assigned(homes, key).at(-1)?.replicas)).toEqual([1, 1, 2]);
  });
});

it("in the class exact a slice keeps the results of its products, whatever memory there is, and is counted so", () => {
  const [fast, exact] = (["fast", "exact"] as const).map((arithmetic) =>
    stageFacts(testRun({ arithmetic }), null),
  );
  for (const [at, { memoryBytes }] of (exact ?? []).entries())
    expect(memoryBytes).toBeGreaterThanOrEqual(fast?.[at]?.memoryBytes ?? Infinity);
});
