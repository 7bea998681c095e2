import { describe, expect, it } from "vitest";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { Homes, trained } from "../replicas/homes.test-support.ts";
import { Fleet, testRun } from "./fleet.test-support.ts";

/** Why it stands still, each time that this was said to it. */
const told = (homes: Homes, key: SessionKey | undefined): string[] =>
  homes.sent.flatMap(({ to, message }) => (to === key && message.type === "halt" ? [message.reason] : []));

describe("who has no slice while others train is told why", () => {
  it("finds the places of every slice taken, and gets the one of the next computer that leaves", async () => {
    const homes = new Homes(2);
    const keys = Array.from({ length: 6 }, () => homes.join());
    await trained(homes, 2);
    const spare = homes.join();
    expect(homes.stageOf(spare)).toBeUndefined();
    const full =
      "In reserve: every slice has 2 computers, as many as one may have. It takes over where one is lost, and earns nothing meanwhile.";
    expect(told(homes, spare)).toEqual([full]);
    homes.join();
    expect(told(homes, spare), "once").toEqual([full]);
    for (const key of keys) expect(told(homes, key)).toEqual([]);
    const gone = keys[3] as SessionKey;
    const stage = homes.stageOf(gone);
    homes.leave(gone);
    expect(homes.stageOf(spare)).toBe(stage);
  });

  it("is too small for any slice: what the smallest needs, and what it may give", async () => {
    const homes = new Homes(2, [], [2e9, 1.2e9, 2e9]);
    for (let i = 0; i < 4; i++) homes.join({ memoryBytes: 8e9 });
    await trained(homes, 2);
    const small = homes.join({ memoryBytes: 0.5e9 });
    const reason =
      "The smallest slice needs 1.20 GB of memory, and this computer may give 0.38 GB: three quarters of the 0.50 GB that it has or its owner allows. It earns nothing meanwhile.";
    expect(told(homes, small)).toEqual([reason]);
    expect(reason.length).toBeLessThanOrEqual(200);
    homes.leave(homes.signers[0]?.publicKey as SessionKey);
    expect(homes.stageOf(small), "no place is for it").toBeUndefined();
    expect(told(homes, small)).toEqual([reason]);
  });

  it("has the memory for one slice, which has all its places taken", async () => {
    const homes = new Homes(2, [], [2e9, 1.2e9, 2e9]);
    for (let i = 0; i < 6; i++) homes.join({ memoryBytes: 8e9 });
    await trained(homes, 2);
    const [reason = ""] = told(homes, homes.join({ memoryBytes: 2e9 }));
    expect(reason).toMatch(
      /^In reserve: each slice that this computer has the memory for has 2 computers, as many as one may have\./,
    );
    expect(reason.length).toBeLessThanOrEqual(200);
  });

  it("is told again when it is there by another connection, which may have missed it", async () => {
    const homes = new Homes(2);
    for (let i = 0; i < 6; i++) homes.join();
    await trained(homes, 2);
    const spare = homes.join();
    const address = { linkAddress: { host: "h", port: 2 }, otherAddresses: [] };
    homes.dispatch({ type: "moved", sessionKey: spare, ...address });
    expect(told(homes, spare)).toHaveLength(2);
  });

  it("waits where each slice has one computer; until they train nothing is said", () => {
    const fleet = new Fleet(testRun(), 5, [1, 1, 2], [8, 8, 8, 2, 0.5]);
    const reasons = (number: number): string[] =>
      fleet.sent.flatMap(({ to, message }) =>
        to === fleet.computer(number).session && message.type === "halt" ? [message.reason] : [],
      );
    fleet.join(4);
    fleet.join(0);
    fleet.join(1);
    expect(fleet.sent).toEqual([]);
    fleet.join(2);
    fleet.join(3);
    fleet.hearAll();
    expect(reasons(3)).toEqual([
      "In reserve: others hold every slice that this computer has the memory for. It takes over where one is lost, and earns nothing meanwhile.",
    ]);
    expect(reasons(4)).toEqual([expect.stringMatching(/^The smallest slice needs 1\.00 GB of memory/)]);
    for (const number of [0, 1, 2]) expect(reasons(number)).toEqual([]);
  });

  it("could not load its slice, which another one was given instead", () => {
    const fleet = new Fleet(testRun(), 4);
    for (const { number } of fleet.computers) fleet.join(number);
    fleet.computers.forEach((one) => one.outbox.splice(0));
    const bad = fleet.computer(1).session as SessionKey;
    const { generation } = fleet.state;
    fleet.say(bad, { type: "trouble", generation, code: "graph-refused", message: "" });
    fleet.tick(5_000);
    expect(fleet.state.stages.map(({ holder }) => holder)).not.toContain(bad);
    const last = fleet.sent.findLast(({ to }) => to === bad)?.message;
    expect(last).toMatchObject({
      type: "halt",
      reason:
        "In reserve: computers that were near trouble less often than this one (1) go first. It takes over where one is lost, and earns nothing meanwhile.",
    });
  });
});
