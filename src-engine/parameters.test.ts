import { describe, expect, it } from "vitest";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { llamaParameters } from "./llama-model.ts";
import { initialValues } from "./parameters.ts";

describe("initial parameters", () => {
  const model = { ...DEFAULT_MODEL, width: 64, hidden: 128 };
  const infos = llamaParameters(model);
  const valuesOf = (seed: number): number[][] =>
    infos.map((info) => Array.from(initialValues(model, info, seed)));

  it("are the same wherever they are made, and others for another seed", () => {
    expect(valuesOf(7)).toEqual(valuesOf(7));
    expect(valuesOf(8)).not.toEqual(valuesOf(7));
  });

  it("never change between versions: nodes of one run must agree", () => {
    const [embedding = []] = valuesOf(7);
    expect(embedding.slice(0, 3)).toMatchInlineSnapshot(`
      [
        -0.6816465854644775,
        0.590709388256073,
        -0.3169589638710022,
      ]
    `);
  });

  it("have mean 0 and the stated deviation, and norms are 1", () => {
    const values = valuesOf(7);
    for (const [i, { name, shape }] of infos.entries()) {
      const found = values[i] ?? [];
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
