import { describe, expect, it } from "vitest";
import { modelSpec } from "../src-protocol/model.ts";
import { MODELS, type ModelName, parameterCount } from "./models.ts";
import { DEFAULT_NODE, plan } from "./plan.ts";
import { llamaModel } from "./llama-model.ts";
import { cutModel } from "./stages.ts";

const names = Object.keys(MODELS) as ModelName[];
const nodes = (count: number) => Array.from({ length: count }, () => DEFAULT_NODE);
const nominal = (name: ModelName): number => Number.parseInt(name, 10) * (name.endsWith("b") ? 1e9 : 1e6);

describe("the built-in models", () => {
  it.each(names)("%s has about as many parameters as its name says", (name) => {
    expect(() => modelSpec.parse(MODELS[name])).not.toThrow();
    expect(Math.abs(parameterCount(MODELS[name]) / nominal(name) - 1)).toBeLessThan(0.16);
  });

  it("are counted as the stages count them", () => {
    for (const name of ["1m", "100m"] as const) {
      const stages = cutModel(llamaModel(MODELS[name], { batch: 1, sequence: 8 }), 3);
      expect(stages.reduce((sum, stage) => sum + stage.parameterCount, 0)).toBe(parameterCount(MODELS[name]));
    }
  });
});

describe("a plan", () => {
  it.each(names)("%s: fits into 8 GB computers, and names stages, memory and traffic", (name) => {
    const found = plan(MODELS[name], nodes(300));
    expect(found.parameterCount).toBe(parameterCount(MODELS[name]));
    expect(found.peakBytes).toBeLessThanOrEqual(0.75 * 8 * 2 ** 30);
    expect(found.stages.every(({ memory }) => memory.full.peakBytes <= DEFAULT_NODE.memoryBytes)).toBe(true);
    const boundaries = found.stages.length - 1;
    // Activations forward and gradients back, in float32.
    expect(found.bytesPerToken).toBe(boundaries * 2 * 4 * MODELS[name].width);
  });

  it("70b: an 8 GB computer holds and trains its slice, at 20 bytes a parameter", () => {
    const { stages, peakBytes } = plan(MODELS["70b"], nodes(300));
    const largest = Math.max(...stages.map((stage) => stage.parameterCount));
    expect(largest).toBeGreaterThanOrEqual(254e6);
    expect(peakBytes).toBeGreaterThan(20 * largest);
    expect(peakBytes).toBeLessThan(6e9);
    expect(stages.length).toBeLessThan(280);
  });

  it("keeps to the number of stages that is given", () => {
    expect(plan(MODELS["10m"], nodes(4), { stages: 4 }).stages.map(({ index }) => index)).toEqual([
      0, 1, 2, 3,
    ]);
  });

  it("gives a large computer more than small ones", () => {
    const [large, small] = plan(
      MODELS["300m"],
      [{ ...DEFAULT_NODE, memoryBytes: 20e9, flopsPerSecond: 1e13 }, DEFAULT_NODE],
      {
        stages: 2,
      },
    ).stages;
    expect(large?.parameterCount).toBeGreaterThan(2 * (small?.parameterCount ?? 0));
  });

  it("says so when the computers are too few", () => {
    expect(() => plan(MODELS["7b"], nodes(20))).toThrow(expect.objectContaining({ code: "does-not-fit" }));
  });
});
