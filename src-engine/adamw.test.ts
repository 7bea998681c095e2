import { describe, expect, it } from "vitest";
import { DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import { adamwStep, learningRate } from "./adamw.ts";

const optimizer = { ...DEFAULT_OPTIMIZER, learningRate: 0.1, warmupSteps: 0, decaySteps: 1e9 };
const info = (name: string, decay: boolean) => ({ name, shape: [3], size: 3, decay });

describe("adamwStep", () => {
  it("follows the published formula, with decay for matrices only", () => {
    const plan = { parameters: [info("matrix", true), info("norm", false)] };
    const start = [1, -2, 3];
    const parameters = [Float32Array.from(start), Float32Array.from(start)];
    const [m, v] = [0, 1].map(() => [new Float32Array(3), new Float32Array(3)]) as [
      Float32Array[],
      Float32Array[],
    ];
    const expected = parameters.map((p) => Array.from(p, (value) => ({ value, m: 0, v: 0 })));
    for (let step = 0; step < 5; step++) {
      const summed = [0.5, -1, 1e-3].map((g) => 4 * (g + step * 0.1));
      const gradients = [Float32Array.from(summed), Float32Array.from(summed)];
      adamwStep(parameters, gradients, m, v, { plan, optimizer, step, gradientScale: 0.25 });
      for (const [i, row] of expected.entries()) {
        for (const [j, x] of row.entries()) {
          const g = (summed[j] ?? 0) / 4;
          x.m = 0.9 * x.m + 0.1 * g;
          x.v = 0.95 * x.v + 0.05 * g * g;
          const [unbiasedM, unbiasedV] = [x.m / (1 - 0.9 ** (step + 1)), x.v / (1 - 0.95 ** (step + 1))];
          if (i === 0) x.value -= 0.1 * 0.1 * x.value;
          x.value -= (0.1 * unbiasedM) / (Math.sqrt(unbiasedV) + 1e-8);
        }
      }
    }
    for (const [i, row] of expected.entries()) {
      for (const [j, { value }] of row.entries()) expect(parameters[i]?.[j]).toBeCloseTo(value, 5);
    }
  });

  it("moves by the learning rate at first, whatever the gradient's size", () => {
    const parameters = [new Float32Array(3)];
    const zeros = (): Float32Array[] => [new Float32Array(3)];
    const plan = { parameters: [info("norm", false)] };
    adamwStep(parameters, [Float32Array.of(1e-4, 100, -3)], zeros(), zeros(), {
      plan,
      optimizer,
      step: 0,
      gradientScale: 1,
    });
    for (const [i, sign] of [-1, -1, 1].entries()) expect(parameters[0]?.[i]).toBeCloseTo(0.1 * sign, 4);
  });

  it("refuses arrays that do not fit the plan before it changes any", () => {
    const parameters = [Float32Array.of(1, 1, 1), Float32Array.of(1, 1)];
    const plan = { parameters: [info("a", true), info("b", true)] };
    const step = { plan, optimizer, step: 0, gradientScale: 1 };
    expect(() => adamwStep(parameters, parameters, parameters, parameters, step)).toThrow(RangeError);
    expect(Array.from(parameters[0] ?? [])).toEqual([1, 1, 1]);
  });
});

describe("learningRate", () => {
  it("warms up in a line, falls as a cosine, and stays at its final fraction", () => {
    const schedule = { ...optimizer, learningRate: 1, warmupSteps: 4, decaySteps: 104, finalFraction: 0.1 };
    expect([0, 1, 2, 3, 4].map((step) => learningRate(schedule, step))).toEqual([0.25, 0.5, 0.75, 1, 1]);
    expect(learningRate(schedule, 54)).toBeCloseTo(0.55, 12);
    expect(learningRate(schedule, 104)).toBeCloseTo(0.1, 12);
    expect(learningRate(schedule, 5000)).toBeCloseTo(0.1, 12);
  });
});
