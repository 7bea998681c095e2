import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { initialParameters } from "./parameters.ts";
import { cutModel, type StagePlan } from "./stage.ts";

const flops = (plan: StagePlan): number => plan.flopsPerToken(0).forward;

describe("cutModel", () => {
  it("gives every block to one stage, in order, with the embedding first and the output last", () => {
    const cut = fc
      .integer({ min: 1, max: 40 })
      .chain((blocks) => fc.tuple(fc.constant(blocks), fc.integer({ min: 1, max: blocks })));
    fc.assert(
      fc.property(cut, ([blocks, stages]) => {
        const model = { ...DEFAULT_MODEL, blocks };
        const plans = cutModel(model, stages);
        const names = plans.flatMap((plan) => plan.parameters.map(({ name }) => name));
        const [whole] = cutModel(model, 1) as [StagePlan];
        expect(names).toEqual(whole.parameters.map(({ name }) => name));
        expect(plans.map(({ isHead, isTail }) => [isHead, isTail])).toEqual(
          plans.map((_, i) => [i === 0, i === stages - 1]),
        );
        expect(plans.reduce((sum, plan) => sum + flops(plan), 0)).toBeCloseTo(flops(whole), 0);
      }),
      { seed: 2 },
    );
  });

  it("balances FLOPs: a heavy output matrix takes blocks from the tail", () => {
    const heavy = { ...DEFAULT_MODEL, blocks: 9, vocabulary: 100_000 };
    expect(cutModel(heavy, 3).map(({ blockCount }) => blockCount)).toEqual([4, 4, 1]);
    expect(cutModel(DEFAULT_MODEL, 3).map(({ blockCount }) => blockCount)).toEqual([1, 1, 1]);
  });

  it("counts the default model's parameters and operations", () => {
    const [whole] = cutModel(DEFAULT_MODEL, 1) as [StagePlan];
    expect(whole.parameterCount).toBe(3 * (4 * 256 ** 2 + 3 * 256 * 704 + 512) + 2 * 256 * 256 + 256);
    const forward = 3 * (2 * (4 * 256 ** 2 + 3 * 256 * 704) + 4 * 128 * 256) + 2 * 256 * 256;
    expect(whole.flopsPerToken(128)).toEqual({ forward, backward: 2 * forward });
  });

  it("refuses what cannot be cut, and says what can", () => {
    expect(() => cutModel(DEFAULT_MODEL, 4)).toThrow(
      expect.objectContaining({ code: "too-many-stages", message: expect.stringContaining("1 to 3 stages") }),
    );
    expect(() => cutModel({ ...DEFAULT_MODEL, heads: 3 }, 1)).toThrow(
      expect.objectContaining({ code: "bad-model" }),
    );
  });
});

describe("initialParameters", () => {
  const model = { ...DEFAULT_MODEL, width: 64, hidden: 128 };
  const valuesOf = (stages: number, seed: number): number[][] =>
    cutModel(model, stages).flatMap((plan) =>
      initialParameters(model, plan, seed).map((values) => Array.from(values)),
    );

  it("are the same however the model is cut, and others for another seed", () => {
    expect(valuesOf(3, 7)).toEqual(valuesOf(1, 7));
    expect(valuesOf(1, 8)).not.toEqual(valuesOf(1, 7));
  });

  it("never change between versions: nodes of one run must agree", () => {
    const [plan] = cutModel(model, 3) as [StagePlan];
    const [embedding] = initialParameters(model, plan, 7) as [Float32Array];
    expect(Array.from(embedding.slice(0, 3))).toMatchInlineSnapshot(`
      [
        -0.6816465854644775,
        0.590709388256073,
        -0.3169589638710022,
      ]
    `);
  });

  it("have mean 0 and the stated deviation, and norms are 1", () => {
    const [plan] = cutModel(model, 1) as [StagePlan];
    const values = initialParameters(model, plan, 7);
    for (const [i, { name, shape }] of plan.parameters.entries()) {
      const found = Array.from(values[i] ?? []);
      const mean = found.reduce((sum, x) => sum + x, 0) / found.length;
      const deviation = Math.sqrt(found.reduce((sum, x) => sum + (x - mean) ** 2, 0) / found.length);
      const residual = /blocks.*(output|down)/.test(name) ? 6 : 1;
      const fixed = { embedding: 0.5, "final.output": 0.02 }[name];
      const stated = fixed ?? 1 / Math.sqrt((shape[0] ?? 1) * residual);
      const [expectedMean, expectedDeviation] = shape.length === 1 ? [1, 0] : [0, stated];
      expect(Math.abs(mean - expectedMean)).toBeLessThan(0.05 * stated);
      expect(Math.abs(deviation - expectedDeviation)).toBeLessThan(0.05 * stated);
    }
  });
});
