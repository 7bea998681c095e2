import { describe, expect, it } from "vitest";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { chainsGoodput } from "./chains.ts";
import { simulateChurn } from "./churn.ts";
import { stays } from "./homes.ts";
import { Random } from "./random.ts";
import { simulateStep } from "./step.ts";
import type { StepNode } from "./step.ts";

const HOUR = 3_600_000;

function pool(stages: number, perStage: number, random: Random): StepNode[] {
  return Array.from({ length: stages * perStage }, (_, id) => ({
    key: `node-${id}` as SessionKey,
    stage: id % stages,
    speed: random.lognormal(1, 0.5),
  }));
}

describe("a step in homes of very different speeds", () => {
  const options = { stages: 8, microBatches: 192, changes: [], workMs: 2_000, eachMs: 2, linkMs: 250 };

  it("takes little longer than its poorest stage has to work", () => {
    const random = new Random(3);
    const nodes = pool(8, 3, random);
    const speeds = Array.from({ length: 8 }, () => 0);
    for (const { stage, speed } of nodes) speeds[stage] = (speeds[stage] ?? 0) + speed;
    const { ms, redone } = simulateStep({ ...options, nodes, random });
    expect(redone).toBe(0);
    expect((192 * 2_000) / Math.min(...speeds) / (ms ?? Infinity)).toBeGreaterThan(0.85);
  });

  it("is finished when computers go and come meanwhile, and what is done again is their stages' work alone", () => {
    const random = new Random(5);
    const nodes = pool(8, 3, random);
    const gone = [nodes[0], nodes[11], nodes[7]].flatMap((node) => (node === undefined ? [] : [node]));
    const { ms, lost, redone } = simulateStep({
      ...options,
      nodes,
      random,
      changes: [
        ...gone.map(({ key }, i) => ({ at: 60_000 + 10_000 * i, type: "goes" as const, key })),
        { at: 100_000, type: "comes", node: { key: "late" as SessionKey, stage: 3, speed: 1 } },
      ],
    });
    expect(ms).not.toBeNull();
    expect(lost).toBe(3);
    expect(redone).toBeGreaterThan(0);
    expect(redone).toBeLessThan(192);
  });
});

it("placement makes more of what homes can do than fixed chains, and leaves no stage uncovered", () => {
  const until = 12 * HOUR;
  const homes = stays(300, until, 7);
  const result = simulateChurn(homes, {
    runs: 2,
    stages: 4,
    until,
    loadMs: 90_000,
    microBatches: 512,
    workMs: 2_000,
    eachMs: 2,
    linkMs: 250,
    steps: 4,
    seed: 7,
  });
  const chains = chainsGoodput(homes, { stages: 4, until, loadMs: 90_000, settledAfter: HOUR });
  expect(result).toMatchObject({ uncovered: 0 });
  expect(result.wasted).toBeLessThan(0.02);
  expect(result.imbalance).toBeLessThan(0.25);
  expect(result.syncGoodput).toBeGreaterThan(chains);
});
