import { describe, expect, it, test } from "vitest";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import { testHotkey, testKey } from "../runs/fleet.test-support.ts";
import type { RunMessage } from "../runs/network-state.ts";
import { nextWake } from "../runs/network.ts";
import { Homes, run, trained } from "./homes.test-support.ts";
import { putAsideLine, withPutAside } from "./put-aside.ts";

const STEP = 3_000_000;
const DIGEST = sha256("zeros");
const SAVED = { step: STEP, digest: DIGEST, link: DIGEST, stateSha256: DIGEST };

describe("F1: of what a replica says that it has trained", () => {
  it("nothing moves a run that goes on", async () => {
    const homes = new Homes();
    for (let i = 0; i < 5; i++) homes.join();
    await trained(homes, 3);
    const { generation } = homes.state;
    const stranger = homes.join({
      hotkey: testHotkey(1),
      restorable: [0, 1, 2].map((stage) => ({
        runId: run.runId,
        stage,
        steps: [{ step: STEP, digest: DIGEST }],
      })),
    });
    expect(homes.stageOf(stranger)).toBeDefined();
    const lies: RunMessage[] = [
      { type: "adopted", generation, step: STEP },
      { type: "counted", generation, step: STEP, microBatch: 0, loss: 0 },
      { type: "saved", generation, ...SAVED },
      { type: "checkpoint", generation, step: STEP, sha256: DIGEST, bytes: 1_000 },
      { type: "stepped", generation, step: STEP, loss: 0, computeMs: 1 },
    ];
    for (const message of lies) homes.dispatch({ type: "message", sessionKey: stranger, message });
    expect(homes.state.step).toBe(3);
    await trained(homes, 6);
    expect(homes.state).toMatchObject({ step: 6, phase: "training", generation });
    const kept = homes.effects.flatMap((each) => (each.type === "store" ? [each.row] : []));
    expect(kept.flatMap((row) => ("step" in row ? [row.step] : [])).every((step) => step <= 6)).toBe(true);
    expect(kept.filter(({ kind }) => kind === "checkpoint")).toEqual([]);
  });

  it("nothing is gone on from when a stage has lost all of its own", async () => {
    const homes = new Homes();
    const keys = Array.from({ length: 4 }, () => homes.join());
    await trained(homes, 3);
    const alone = [0, 1, 2].find(
      (stage) => keys.filter((key) => homes.stageOf(key) === stage).length === 1,
    ) as number;
    for (const key of keys) if (homes.stageOf(key) === alone) homes.leave(key);
    homes.join({ restorable: [{ runId: run.runId, stage: alone, steps: [{ step: STEP, digest: DIGEST }] }] });
    for (let i = 0; i < 20; i++) homes.tick(30_000);
    const steps = homes.sent.flatMap(({ message }) =>
      message.type === "assign" && message.resumeStep !== null ? [message.resumeStep] : [],
    );
    expect(steps.every((step) => step <= 3)).toBe(true);
    expect(homes.state.step).toBeLessThanOrEqual(3);
  });
});

describe("whoever breaks a rule", () => {
  const said = { hotkey: testHotkey(1), sessionKey: testKey(1), stage: 1, step: 4, at: 0 };

  it("is named, with its owner and the reason, while the others train on", async () => {
    const homes = new Homes();
    const keys = Array.from({ length: 6 }, () => homes.join());
    await trained(homes, 3);
    const liar = keys.findLast((key) => homes.stageOf(key) === 1) as SessionKey;
    const hotkey = homes.state.nodes.get(liar)?.hotkey as Ss58Address;
    const { generation } = homes.state;
    homes.date = 1_700_000_000_000;
    homes.dispatch({
      type: "message",
      sessionKey: liar,
      message: { type: "counted", generation, step: 3, microBatch: 0, loss: null },
    });
    await trained(homes, 6);
    expect(homes.state).toMatchObject({ step: 6, phase: "training", generation, lastTrouble: null });
    const named = {
      hotkey,
      sessionKey: liar,
      stage: 1,
      step: 3,
      code: "not-its-micro-batch",
      at: 1_700_000_000_000,
      times: 1,
    };
    expect(homes.state.putAside).toEqual([named]);
    expect(homes.effects.filter(({ type }) => type === "putAside")).toEqual([
      { type: "putAside", news: named },
    ]);
    expect(putAsideLine(named)).toBe(
      `put aside: ${hotkey} (computer ${liar.slice(0, 8)}), slice 2, step 4: not-its-micro-batch`,
    );
  });

  it("is told from whoever only leaves: that one was not put aside", async () => {
    const homes = new Homes();
    const keys = Array.from({ length: 6 }, () => homes.join());
    await trained(homes, 3);
    homes.leave(keys[5] as SessionKey);
    await trained(homes, 4);
    expect(homes.state.putAside).toEqual([]);
  });

  it("moves nothing in the operator's terminal by what it says is wrong", () => {
    const homes = new Homes();
    for (let i = 0; i < 6; i++) homes.join();
    homes.tick(5_000);
    const { generation } = homes.state;
    const sessionKey = homes.state.stages[1]?.holder as SessionKey;
    const message = { type: "trouble", generation, code: "\u001b[2Jgood\n", message: "" };
    homes.dispatch({ type: "message", sessionKey, message });
    expect(homes.state.putAside[0]?.code).toBe("?[2Jgood?");
  });

  it("is not forgotten for whoever is put aside for ever new reasons", () => {
    let known = withPutAside([], { ...said, code: "wrong-sum" });
    for (let i = 0; i < 50; i++)
      known = withPutAside(known, { ...said, hotkey: testHotkey(2), code: `reason ${i}` });
    expect(known.map(({ hotkey }) => hotkey)).toEqual([...Array(5).fill(testHotkey(2)), testHotkey(1)]);
    known = withPutAside(known, { ...said, step: 9, code: "wrong-sum" });
    expect(known[0]).toEqual({ ...said, step: 9, code: "wrong-sum", times: 2 });
    for (let i = 0; i < 50; i++)
      known = withPutAside(known, { ...said, hotkey: `${i}` as Ss58Address, code: "silent" });
    expect(known).toHaveLength(20);
  });
});

describe("F7: computers of one owner", () => {
  const somebody = (at: number): Ss58Address =>
    createSessionSigner(new Uint8Array(32).fill(200 + at)).publicKey as never;
  const OWN = testHotkey(0);

  interface Asked {
    readonly most?: number;
    /** Each of the two has a hotkey of its own, and both are paid to one address: so from the start, or from then on. */
    readonly hotkeys?: "one" | "two" | "two, bound before the last comes";
  }

  /** How far apart the stages of the owner's two are, when it comes as the `first`th and the `second`th. */
  function apart(first: number, second: number, computers: number, asked: Asked = {}): number {
    const { most = 2, hotkeys = "one" } = asked;
    const homes = new Homes(most);
    const own = [first, second];
    const keys = Array.from({ length: computers }, (_, at) => {
      if (at === computers - 1 && hotkeys === "two, bound before the last comes")
        for (const mine of own) homes.dispatch({ type: "bound", hotkey: somebody(mine), owner: OWN });
      if (!own.includes(at)) return homes.join({ hotkey: somebody(at) });
      if (hotkeys === "one") return homes.join({ hotkey: OWN });
      return homes.join({ hotkey: somebody(at), ...(hotkeys === "two" && { owner: OWN }) });
    });
    homes.tick(5_000);
    const [a, b] = [keys[first], keys[second]].map((key) => key && homes.stageOf(key));
    if (a === undefined || b === undefined) throw new Error("one of them has no stage");
    return Math.abs(a - b);
  }

  it.each([
    [0, 1],
    [0, 2],
    [1, 2],
  ])("are not neighbours in a pipeline of three (%i and %i)", (first, second) => {
    expect(apart(first, second, 3, { most: 1 })).toBe(2);
    expect(apart(first, second, 3), "which may get replicas").toBe(2);
  });

  it.each([
    [0, 1],
    [0, 2],
    [1, 2],
    [3, 4],
    [3, 5],
  ])("are not neighbours as replicas either, where others can be (%i and %i of six)", (first, second) => {
    expect(apart(first, second, 6)).toBe(2);
  });

  it.each([
    [0, 1, 3],
    [3, 4, 6],
  ])("are known by the address that both are paid to (%i and %i of %i)", (first, second, computers) => {
    expect(apart(first, second, computers, { hotkeys: "two" })).toBe(2);
  });

  it("are kept apart from the next placement on when that address is bound later", () => {
    expect(apart(0, 1, 3, { hotkeys: "two, bound before the last comes" })).toBe(2);
    expect(apart(0, 5, 6, { hotkeys: "two, bound before the last comes" })).toBe(2);
  });

  it("keep their stages when the address is bound while they train: what they have is not given up", async () => {
    const homes = new Homes();
    const keys = [0, 1, 2].map((at) => homes.join({ hotkey: somebody(at) }));
    await trained(homes, 2);
    for (const at of [0, 1]) homes.dispatch({ type: "bound", hotkey: somebody(at), owner: OWN });
    homes.join({ hotkey: somebody(3) });
    expect(keys.map((key) => homes.stageOf(key))).toEqual([0, 1, 2]);
  });

  it("are neighbours where it cannot be otherwise: nobody is left out", () => {
    const homes = new Homes(1);
    const keys = [OWN, OWN, OWN].map((hotkey) => homes.join({ hotkey }));
    homes.tick(5_000);
    expect(new Set(keys.map((key) => homes.stageOf(key)))).toEqual(new Set([0, 1, 2]));
  });
});

describe("F11: whatever the clock shows", () => {
  async function told(dates: readonly number[]): Promise<unknown[]> {
    const homes = new Homes();
    const seen: unknown[] = [];
    const keys = Array.from({ length: 6 }, () => homes.join());
    await trained(homes, 3);
    homes.date = dates[0] ?? 0;
    // One of a stage of two says nothing any more, in the middle of a step.
    const silent = keys.find((key) => homes.stageOf(key) === 1);
    if (silent === undefined) throw new Error("nobody has stage 2");
    homes.mute.add(silent);
    await trained(homes, 4);
    for (const date of dates) {
      homes.date = date;
      for (let i = 0; i < 40; i++) {
        homes.tick(500);
        seen.push([nextWake(homes.state), homes.state.step, homes.state.phase]);
      }
    }
    const fenced = homes.sent.filter(({ message }) => message.type === "fenced");
    return [...seen, fenced.map(({ message }) => message)];
  }

  test("replicas wait as long, and who is silent is put aside as fast", async () => {
    const still = await told([0, 0, 0]);
    expect(JSON.stringify(still)).toContain("silent");
    expect(await told([-6 * 3_600_000, 0, 40 * 60_000])).toEqual(still);
  });
});
