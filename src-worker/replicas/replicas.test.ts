import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { KERNELS } from "../../src-protocol/arithmetic.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { formRefusal, signatureRefusal } from "../../src-orchestrator/ledger/receipts.ts";
import { microBatchesOf } from "../../src-protocol/micro-batch-set.ts";
import { parametersSha256 } from "../../src-protocol/parameters-digest.ts";
import { vouchedMicroBatches } from "../../src-protocol/receipt.ts";
import { trainSingle } from "../replay/single.ts";
import type { SingleStep } from "../replay/single.ts";
import { TINY_CORPUS, tinyRun } from "../tiny-run.test-support.ts";
import { Fleet } from "./replica-fleet.test-support.ts";
import type { FleetNode } from "./replica-fleet.test-support.ts";

const STEPS = 20;
const spec = tinyRun({ steps: STEPS });
let alone: readonly SingleStep[];
let fleet: Fleet;

afterEach(() => fleet.close());

beforeAll(async () => {
  alone = await trainSingle({
    spec,
    corpus: TINY_CORPUS,
    steps: STEPS,
    threads: 1,
    evaluateAt: (step) => step % spec.evaluateEverySteps === 0,
  });
});

async function trained(
  fleet: Fleet,
  steps: number,
  at: (step: number) => void = () => undefined,
): Promise<void> {
  fleet.onStep = at;
  await fleet.train(steps);
}

function expectAsAlone(fleet: Fleet, steps = STEPS): void {
  for (const { step, loss, heldOutLoss } of alone.slice(0, steps)) {
    expect(Math.abs((fleet.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-4);
    const heldOut = fleet.heldOut.get(step - 1) ?? null;
    expect(heldOut === null, `held out at ${step - 1}`).toBe(heldOutLoss === null);
    expect(Math.abs((heldOut ?? 0) - (heldOutLoss ?? 0))).toBeLessThan(1e-4);
  }
  for (const stage of [0, 1, 2]) expect(fleet.states(stage).size, `stage ${stage}`).toBe(1);
}

/** Kills a node of the stage in the middle of a step: when it has counted something. */
function killWhenCounted(fleet: Fleet, stage: number, step: number): Promise<FleetNode> {
  return new Promise((resolve) => {
    let isDone = false;
    fleet.watchers.push((node, report) => {
      if (isDone || node.stage !== stage || report.type !== "counted" || report.step !== step) return;
      isDone = true;
      queueMicrotask(() => fleet.kill(node));
      resolve(node);
    });
  });
}

describe("three stages of three replicas each", () => {
  it("train as one process does, while replicas of every stage are killed and others come", async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [3, 3, 3]);
    const joined: number[] = [];
    fleet.watchers.push((_, report) => {
      if (report.type === "adopted") joined.push(report.step);
    });
    for (const [stage, step] of [
      [1, 3],
      [0, 6],
      [2, 8],
    ] as const)
      void killWhenCounted(fleet, stage, step);
    await trained(fleet, STEPS, (step) => {
      if (step === 2) void fleet.join(1);
      if (step === 12) for (const stage of [1, 2]) void killWhenCounted(fleet, stage, 13);
    });
    expectAsAlone(fleet);
    expect(fleet.nodes.filter(({ isDead }) => isDead)).toHaveLength(5);
    expect(joined).toHaveLength(1);
    // The next one is there when a pass is done, and no third.
    expect(Math.max(...fleet.nodes.map(({ mostGiven }) => mostGiven))).toBe(2);
  });

  it("give two newcomers the state from different ones, and the rest from another one when one is lost in the middle", async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 4, 1]);
    const givers = new Map<SessionKey, Set<FleetNode>>();
    const adopted: SessionKey[] = [];
    for (const node of fleet.nodes)
      node.sends = (message, payload, to) => {
        if (message.type !== "statePart") return [[message, payload]];
        const its = givers.get(to) ?? new Set();
        const isFirstOfAll = givers.size === 0;
        givers.set(to, its.add(node));
        if (isFirstOfAll) queueMicrotask(() => fleet.kill(node));
        return [[message, payload]];
      };
    fleet.watchers.push((node, report) => {
      if (report.type === "adopted") adopted.push(node.key);
    });
    fleet.onStep = (step) => {
      if (step === 1)
        void (async () => {
          // Both are ready before the orchestrator hears of either.
          for (const node of [await fleet.start(1, null), await fleet.start(1, null)]) {
            fleet.tell({ type: "added", key: node.key, stage: 1 });
            fleet.tell({ type: "warm", key: node.key });
          }
        })();
    };
    await fleet.train(3, () => adopted.length >= 2, STEPS);
    const [first, second] = [...givers.values()].map((each) => Array.from(each));
    expect(first).toHaveLength(2);
    expect(first?.[0]?.isDead).toBe(true);
    expect(second?.[0]).not.toBe(first?.[0]);
    expectAsAlone(fleet, 3);
    expect(fleet.states(1).size).toBe(1);
  });

  it.each(["head", "middle", "tail"])(
    "do nothing twice when a %s is lost, but on its stage",
    async (name) => {
      const stage = ["head", "middle", "tail"].indexOf(name);
      fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
      const lost = killWhenCounted(fleet, stage, 2);
      await trained(fleet, 4);
      await lost;
      expectAsAlone(fleet, 4);
      const others = fleet.nodes.filter((node) => node.stage !== stage);
      expect(others.flatMap(({ jobs }) => jobs)).toHaveLength(
        new Set(others.flatMap((node) => node.jobs.map((job) => `${node.stage} ${job}`))).size,
      );
    },
  );

  it.each([
    ["head", [0]],
    ["middle", [1]],
    ["tail", [2]],
    ["middle and tail", [1, 2]],
  ] as const)(
    "do nothing twice when every %s is lost and one of each comes back, but on their stages, which then give newcomers the state",
    async (_, stages) => {
      const [first] = stages;
      fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
      fleet.mayStandBy = true;
      const back = killWhenCounted(fleet, first, 2).then(async () => {
        const lost = fleet.nodes.filter(({ stage }) => stages.some((each) => each === stage));
        for (const node of lost) if (!node.isDead) fleet.kill(node);
        await fleet.still();
        expect(fleet.run.step).toBe(2);
        const nodes: FleetNode[] = [];
        for (const stage of stages) {
          expect(fleet.run.book.stages[stage]?.live.size).toBe(0);
          const dead = lost.find((node) => node.stage === stage);
          if (dead !== undefined) nodes.push(await fleet.resume(dead));
          await fleet.join(stage);
        }
        return nodes;
      });
      const areTwo = (): boolean => stages.every((stage) => fleet.run.book.stages[stage]?.live.size === 2);
      await fleet.train(5, areTwo, STEPS);
      for (const { key, stage } of await back) expect(fleet.run.book.stages[stage]?.live).toContain(key);
      expectAsAlone(fleet, 5);
      expect(fleet.run.redone.byOthers).toBe(0);
      const others = fleet.nodes.filter(({ stage }) => stages.every((each) => each !== stage));
      expect(others.flatMap(({ jobs }) => jobs)).toHaveLength(
        new Set(others.flatMap((each) => each.jobs.map((job) => `${each.stage} ${job}`))).size,
      );
      for (const { shares } of fleet.nodes) await shares?.settle(5_000);
      for (const [step, stages] of fleet.shares)
        for (const { replica, microBatches } of stages.flat()) {
          const its = fleet.nodes.find(({ key }) => key === replica);
          const all = [...(its?.receipts ?? []), ...(its?.isDead === true ? its.kept.values() : [])];
          const own = all.filter(({ body }) => body.step === step);
          expect(own.map((each) => vouchedMicroBatches(each))).toEqual([microBatches.length]);
        }
    },
  );

  it.each([
    ["head", 0],
    ["middle", 1],
    ["tail", 2],
  ] as const)(
    "do nothing twice when every %s is lost as the others take the step: who comes back takes it too",
    async (_, stage) => {
      fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
      fleet.mayStandBy = true;
      const dead = fleet.killWhenTaken([stage], 2);
      const back = dead.then(async (nodes) => {
        await fleet.still();
        expect(fleet.run).toMatchObject({ step: 2, book: { isTaken: true } });
        fleet.elapse(300_000);
        await fleet.still();
        const [first, second] = nodes as [FleetNode, FleetNode];
        return [await fleet.resume(first), await fleet.resume(second)];
      });
      const isBack = (): boolean => fleet.run.book.stages[stage]?.live.size === 2;
      await fleet.train(5, isBack, STEPS);
      for (const { key } of await back) expect(fleet.run.book.stages[stage]?.live).toContain(key);
      expectAsAlone(fleet, 5);
      expect(fleet.run.redone).toEqual({ byLostStages: 0, byOthers: 0 });
      expect(fleet.effects.filter(({ type }) => type === "fenced")).toHaveLength(2);
      for (const each of [0, 1, 2]) {
        const jobs = fleet.nodes.filter((node) => node.stage === each).flatMap((node) => node.jobs);
        expect(jobs, `stage ${each}`).toHaveLength(new Set(jobs).size);
      }
    },
  );

  it("send nothing more to a peer of which nothing is heard while another one answers", async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [1, 2, 1]);
    const [head, quiet] = fleet.nodes;
    await trained(fleet, 4, (step) => {
      if (step === 2 && quiet !== undefined) head?.quiet.add(quiet.key);
    });
    expectAsAlone(fleet, 4);
    const [, , later, last] = [...fleet.shares.values()].map(([, middle]) => middle);
    for (const middle of [later, last])
      expect(middle?.map(({ replica }) => replica)).not.toContain(quiet?.key);
  });

  it("train on as one process does while a node moves from the richest stage to the poorest", async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [3, 1, 2]);
    const moved: Promise<FleetNode | null>[] = [];
    await trained(fleet, STEPS, (step) => {
      if (step === 4 || step === 12) moved.push(fleet.balance());
    });
    const [first, second] = await Promise.all(moved);
    expect(first?.stage).toBe(1);
    expect(second, "two on each stage").toBeNull();
    expect(fleet.run.members.get(first?.key as SessionKey)?.phase).toBe("live");
    expect(first?.jobs.length).toBeGreaterThan(0);
    expectAsAlone(fleet);
    expect(fleet.run.redone.byOthers).toBe(0);
    expect(fleet.effects.filter(({ type }) => type === "moving")).toHaveLength(0);
  });

  it("have in the class exact the bits of one process, whoever worked on what and died", async () => {
    const exact = tinyRun({ steps: 3, arithmetic: "exact", kernels: KERNELS.exact });
    let weights: ReadonlyMap<string, Float32Array> = new Map();
    await trainSingle({
      spec: exact,
      corpus: TINY_CORPUS,
      steps: 3,
      threads: 1,
      onStep: (_, now) => (weights = now()),
    });
    fleet = await Fleet.open(exact, TINY_CORPUS, [2, 2, 1]);
    void killWhenCounted(fleet, 1, 1);
    await trained(fleet, 3);
    expect(parametersSha256(fleet.weights())).toBe(parametersSha256(weights));
    expect(Math.max(...fleet.nodes.map(({ mostGiven }) => mostGiven))).toBe(2);
  });

  it("earn a receipt each for what every step has counted for them, signed by all who used it", async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
    void killWhenCounted(fleet, 1, 2);
    void killWhenCounted(fleet, 0, 4);
    await trained(fleet, 6);
    for (const { shares } of fleet.nodes) await shares?.settle(5_000);
    for (const [step, stages] of fleet.shares)
      for (const [stage, shares] of stages.entries())
        for (const { replica, microBatches } of shares) {
          const receipts = fleet.nodes
            .find(({ key }) => key === replica)
            ?.receipts.filter(({ body }) => body.step === step && body.stage === stage);
          const [receipt] = receipts ?? [];
          expect(receipts, `step ${step}, stage ${stage}`).toHaveLength(1);
          if (receipt === undefined) continue;
          expect(microBatchesOf(receipt.body.share?.microBatches ?? "")).toEqual(microBatches);
          expect(vouchedMicroBatches(receipt)).toBe(microBatches.length);
          expect(formRefusal(receipt, "fleet", spec, flopsOf(fleet))).toBeNull();
          expect(signatureRefusal(receipt)).toBeNull();
        }
    expect(fleet.shares.size).toBe(6);
    const all = [...fleet.shares.values()].flat(2);
    expect(all.flatMap(({ microBatches }) => microBatches)).toHaveLength(6 * 3 * spec.microBatches);
  });

  it("lose no receipt with who is killed as soon as it has the sums of a step that the others then take", async () => {
    fleet = await Fleet.open(spec, TINY_CORPUS, [2, 2, 2]);
    const killed = new Set<FleetNode>();
    // When all have told that they have the sums; before anybody hears that the step is to be taken.
    let told = 0;
    fleet.watchers.push((node, report) => {
      if (report.type !== "summed" || report.step !== 2) return;
      told += 1;
      if (told < 6 || killed.size > 0) return;
      killed.add(node);
      queueMicrotask(() => fleet.die(node));
    });
    await trained(fleet, 4);
    for (const { shares } of fleet.nodes) await shares?.settle(5_000);
    const [dead] = killed;
    for (const { replica, microBatches } of fleet.shares.get(2)?.flat() ?? []) {
      const node = fleet.nodes.find(({ key }) => key === replica);
      const all = [...(node?.receipts ?? []), ...(node === dead ? (node?.kept.values() ?? []) : [])];
      const own = all.filter(({ body }) => body.step === 2);
      expect(own.map((each) => vouchedMicroBatches(each))).toEqual([microBatches.length]);
    }
    expect(
      fleet.shares
        .get(2)
        ?.flat()
        .some(({ replica }) => replica === dead?.key),
    ).toBe(true);
    expectAsAlone(fleet, 4);
  });

  it.each(["receipt", "counterSignature"])(
    "lose no receipt with a link that takes a %s with it",
    async (type) => {
      fleet = await Fleet.open(spec, TINY_CORPUS, [1, 1, 1]);
      const [head, middle] = fleet.nodes;
      if (head === undefined || middle === undefined) throw new Error("no node");
      let lost = 0;
      const loses = type === "receipt" ? head : middle;
      loses.sends = (message, payload, to) =>
        message.type === type && to !== fleet.nodes[2]?.key && lost++ === 0 ? [] : [[message, payload]];
      await trained(fleet, 2);
      fleet.relink(head, middle);
      for (const { shares } of fleet.nodes) await shares?.settle(5_000);
      expect(lost).toBeGreaterThan(0);
      for (const { receipts } of fleet.nodes)
        expect(receipts.map((each) => vouchedMicroBatches(each))).toEqual([
          spec.microBatches,
          spec.microBatches,
        ]);
    },
  );
});

function flopsOf({ nodes }: Fleet): number[] {
  return [0, 1, 2].map((stage) => {
    const flops = nodes.find((node) => node.stage === stage)?.info?.flops;
    return (flops?.forward ?? 0) + (flops?.backward ?? 0);
  });
}
