import { describe, expect, it } from "vitest";
import { DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import { adamwFeeds, adamwGraph, copyGraph, gradientSquaresGraph, zerosGraph } from "./adamw-graph.ts";
import { adamwStep } from "./adamw.ts";
import { sumOfSquares } from "./clip-gradients.ts";
import { randomStream } from "./random.ts";
import { compile } from "./run.test-support.ts";
import type { Values } from "./run.test-support.ts";

const optimizer = { ...DEFAULT_OPTIMIZER, learningRate: 0.01, warmupSteps: 2, decaySteps: 8 };
const parameters = [
  { name: "matrix", shape: [5, 7], size: 35, decay: true },
  { name: "norm", shape: [6], size: 6, decay: false },
  { name: "filter", shape: [2, 3, 2, 2], size: 24, decay: true },
  { name: "scalar", shape: [], size: 1, decay: false },
];

const draw = (name: string, scale = 1): Float32Array<ArrayBuffer>[] =>
  parameters.map(({ size }, i) => {
    const next = randomStream(name, i);
    return Float32Array.from({ length: size }, () => scale * (2 * next() - 1));
  });
const scalar = (value: number): Values => ({ type: "float32", shape: [], data: [value] });
const feeds = (letter: string, arrays: readonly Float32Array[]): Record<string, Values> =>
  Object.fromEntries(
    parameters.map(({ shape }, i) => [
      `${letter}_${i}`,
      { type: "float32" as const, shape, data: arrays[i] ?? [] },
    ]),
  );

describe("adamwGraph", () => {
  it("takes the same steps as the loops over typed arrays, to 1e-6", async () => {
    const run = await compile(adamwGraph(parameters, optimizer));
    const expected = { p: draw("p"), m: draw("m", 0.1), v: draw("v").map((each) => each.map((x) => x * x)) };
    let state: Record<"p" | "m" | "v", Float32Array[]> = structuredClone(expected);
    for (let step = 0; step < 10; step++) {
      const g = draw(`g ${step}`, 4);
      adamwStep(expected.p, g, expected.m, expected.v, {
        plan: { parameters },
        optimizer,
        step,
        gradientScale: 0.25,
      });
      const scalars = Object.entries(adamwFeeds(optimizer, step, 0.25)).map(
        ([name, value]) => [name, scalar(value)] as const,
      );
      const next = await run({
        ...Object.fromEntries(scalars),
        ...feeds("g", g),
        ...feeds("p", state.p),
        ...feeds("m", state.m),
        ...feeds("v", state.v),
      });
      const taken = (letter: string): Float32Array[] =>
        parameters.map((_, i) => Float32Array.from(next[`next_${letter}_${i}`] ?? []));
      state = { p: taken("p"), m: taken("m"), v: taken("v") };
      for (const letter of ["p", "m", "v"] as const) {
        for (const i of parameters.keys()) {
          expect(
            distance(state[letter][i], expected[letter][i]),
            `${letter}_${i} at step ${step}`,
          ).toBeLessThan(1e-6);
        }
      }
    }
  });

  it("leaves parameters without decay alone where there is no gradient", async () => {
    const run = await compile(adamwGraph(parameters, optimizer));
    const [p, zeros] = [draw("p"), parameters.map(({ size }) => new Float32Array(size))];
    const scalars = Object.entries(adamwFeeds(optimizer, 0, 1)).map(([k, v]) => [k, scalar(v)] as const);
    const next = await run({
      ...Object.fromEntries(scalars),
      ...feeds("p", p),
      ...feeds("g", zeros),
      ...feeds("m", zeros),
      ...feeds("v", zeros),
    });
    expect(Float32Array.from(next["next_p_1"] ?? [])).toEqual(p[1]);
    expect(next["next_p_0"]?.[0]).toBeLessThan(Math.abs(p[0]?.[0] ?? 0));
  });
});

describe("gradientSquaresGraph", () => {
  it("is the sum over all gradients, and not finite when one is not", async () => {
    const run = await compile(gradientSquaresGraph(parameters));
    const g = draw("g", 3);
    const { squares } = await run(feeds("g", g));
    expect(squares?.[0]).toBeCloseTo(sumOfSquares(g), 2);
    (g[2] as Float32Array)[3] = Number.NaN;
    expect((await run(feeds("g", g)))["squares"]?.[0]).toBeNaN();
  });
});

it("zerosGraph gives zeros of each shape, also of two that are alike", async () => {
  const run = await compile(zerosGraph([...parameters, ...parameters]));
  const zeros = await run({ zero: scalar(0) });
  expect(Object.values(zeros).map(({ length }) => length)).toEqual([35, 6, 24, 1, 35, 6, 24, 1]);
  expect(Object.values(zeros).every((each) => each.every((value) => value === 0))).toBe(true);
});

it("copyGraph hands on what it gets", async () => {
  const run = await compile(copyGraph([2, 3]));
  const { to } = await run({ from: { type: "float32", shape: [2, 3], data: [1, 2, 3, 4, 5, 6] } });
  expect([...(to ?? [])]).toEqual([1, 2, 3, 4, 5, 6]);
});

/** Relative, by the Euclidean norm. */
function distance(found: Float32Array | undefined, expected: Float32Array | undefined): number {
  let [difference, size] = [0, 0];
  for (const [i, value] of (expected ?? []).entries()) {
    difference += ((found?.[i] ?? Number.NaN) - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(difference / size);
}
