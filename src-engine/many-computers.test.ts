import { describe, expect, it } from "vitest";
import { DEFAULT_MODEL, MOST_MICRO_BATCHES } from "../src-protocol/model.ts";
import { chooseForMany, estimateMany } from "./many-computers.ts";
import type { SizeChoice } from "./many-computers.ts";
import { stagesOf } from "./stages.ts";
import { LINES, USUAL_COMPUTER } from "./step-estimate.ts";
import type { Computer, StepShape } from "./step-estimate.ts";

const STAGES = 3;
const USUAL = {
  arithmetic: "fast",
  codecs: { forward: "int8b64", backward: "int8b64" },
  batch: 4,
  microBatches: 8,
} as const satisfies StepShape["run"];
const EXACT = { ...USUAL, arithmetic: "exact" } as const;
const cut = (batch: number) => stagesOf({ model: DEFAULT_MODEL, batch, sequence: 128, stages: STAGES }, null);
const chosen = (computers: number, computer: Computer = USUAL_COMPUTER, run: StepShape["run"] = USUAL) =>
  chooseForMany({ run, line: LINES.home, computer }, computers, cut);
const msEach = (microBatches: number, computers: number) => {
  const run = { ...USUAL, microBatches };
  const shape = { run, line: LINES.home, computer: USUAL_COMPUTER, stages: cut(USUAL.batch) };
  return estimateMany(shape, computers).ms / microBatches;
};

describe("a step for many computers", () => {
  it("grows with them, and is never more than a step may have", () => {
    const sizes = [3, 6, 24, 96, 1_000].map((computers) => chosen(computers).microBatches);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
    expect(sizes[0]).toBeLessThan(200);
    expect(sizes[2]).toBeGreaterThan(500);
    expect(sizes.at(-1)).toBeLessThanOrEqual(MOST_MICRO_BATCHES);
  });

  it("keeps them at work nearly as well as the best one does, and is the smallest that does", () => {
    for (const computers of [6, 24, 96]) {
      const { batch, microBatches, estimate } = chosen(computers, { ...USUAL_COMPUTER, memoryBytes: 64e9 });
      expect(batch).toBe(USUAL.batch);
      expect(estimate.replicas).toBe(computers / STAGES);
      const sizes = Array.from({ length: 9 }, (_, i) => 64 * 2 ** i);
      const best = Math.min(...sizes.map((each) => msEach(each, computers)));
      expect(msEach(microBatches, computers)).toBeLessThan(1.06 * best);
      expect(msEach(microBatches / 4, computers)).toBeGreaterThan(1.05 * best);
    }
  });

  it("is not so large that what has been sent, and is kept until its end, fills the memory", () => {
    const small = { ...USUAL_COMPUTER, memoryBytes: 2e8 };
    const { microBatches, estimate } = chosen(24, small);
    expect(microBatches).toBeLessThan(chosen(24).microBatches);
    expect(estimate.memoryBytes).toBeLessThan(small.memoryBytes);
  });

  it("is short where a micro-batch is long: who leaves in it has done less of it", () => {
    // A micro-batch takes a minute: at 16,384 of them a step would take a day.
    const slow = { ...USUAL_COMPUTER, flopsPerSecond: USUAL_COMPUTER.flopsPerSecond / 2_000 };
    const { microBatches, estimate } = chosen(96, slow);
    expect(microBatches).toBeLessThan(MOST_MICRO_BATCHES / 8);
    expect(estimate.lostMs).toBeLessThan(0.25 * estimate.ms);
    expect(estimate.lostMs).toBeGreaterThan(0);
  });

  it("has in the class exact fewer and larger micro-batches: the gradient of each is sent", () => {
    const exact = chosen(24, USUAL_COMPUTER, EXACT);
    expect(exact.microBatches).toBeLessThan(chosen(24).microBatches);
    expect(exact.batch).toBeGreaterThan(USUAL.batch);
    const rate = ({ batch, microBatches, estimate }: SizeChoice) => (batch * microBatches) / estimate.ms;
    const asUsual = [64, 256, 1_024, 4_096].map((microBatches) => {
      const shape = { run: { ...EXACT, microBatches }, line: LINES.home, computer: USUAL_COMPUTER };
      return rate({ ...shape.run, estimate: estimateMany({ ...shape, stages: cut(USUAL.batch) }, 24) });
    });
    expect(rate(exact), "several times as fast as with any number of usual ones").toBeGreaterThan(
      5 * Math.max(...asUsual),
    );
  });

  it("has them as usual where one computer has each slice, for then no sum is sent", () => {
    const { batch, microBatches } = chosen(STAGES);
    expect(chosen(STAGES, USUAL_COMPUTER, EXACT)).toMatchObject({ batch, microBatches });
  });

  it("has none that holds a computer or its line so long that a slow one would be taken for a dead one", () => {
    for (const codecs of [USUAL.codecs, undefined]) {
      const { batch, estimate } = chosen(60, { ...USUAL_COMPUTER, memoryBytes: 64e9 }, { ...EXACT, codecs });
      expect(estimate.turnMs).toBeLessThan(2_000);
      expect(batch).toBe(codecs === undefined ? 16 : 64);
    }
  });

  it("needs no more memory than there is with the gradients that are kept in the class exact", () => {
    const small = { ...USUAL_COMPUTER, memoryBytes: 5e8 };
    const { batch, microBatches, estimate } = chosen(60, small, EXACT);
    expect(batch * microBatches).toBeLessThan(8_192);
    const { parameterCount } = cut(batch)[0] ?? { parameterCount: 0 };
    expect(estimate.memoryBytes).toBeGreaterThan(6 * Math.ceil(microBatches / 20) * parameterCount * 4);
    expect(estimate.memoryBytes).toBeLessThan(small.memoryBytes);
  });
});

it("an estimate tells apart what a step is spent on", () => {
  const shape = { run: { ...USUAL, microBatches: 2_048 }, line: LINES.home, computer: USUAL_COMPUTER };
  const { ms, bubbleMs, sumMs, lostMs, busy } = estimateMany({ ...shape, stages: cut(USUAL.batch) }, 30);
  expect(bubbleMs + sumMs + lostMs).toBeLessThan(ms);
  expect(busy).toBeLessThan(1);
  for (const part of [bubbleMs, sumMs, lostMs]) expect(part).toBeGreaterThan(0);
});
