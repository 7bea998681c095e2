import { describe, expect, it } from "vitest";
import { DEFAULT_OPTIMIZER, type ModelSpec } from "../src-protocol/model.ts";
import { adamwStep } from "./adamw.ts";
import type { FloatType } from "./element-type.ts";
import { backwardGraph, forwardGraph, lossGraph, tailGraph } from "./graphs.ts";
import { initialParameters } from "./parameters.ts";
import { randomStream } from "./random.ts";
import { compile, type Values } from "./run.test-support.ts";
import { tokensAt } from "./samples.ts";
import { cutModel, type StagePlan } from "./stage.ts";

const model: ModelSpec = {
  kind: "llama",
  vocabulary: 17,
  width: 16,
  heads: 2,
  blocks: 3,
  hidden: 24,
  ropeBase: 10_000,
  normEpsilon: 1e-5,
};
const shape = { batch: 2, sequence: 6 };
const rows = shape.batch * shape.sequence;
const random = randomStream("graphs.test");
const draw = (): number[] => Array.from({ length: rows }, () => Math.floor(random() * model.vocabulary));
const tokens: Values = { type: "int32", shape: [rows], data: draw() };
const targets: Values = { type: "int32", shape: [rows], data: draw() };

type Parameters = Record<string, Values>;

/** Larger than the initial values, so that attention and gates leave their linear range. */
function parametersOf(plans: readonly StagePlan[], type: FloatType): Parameters {
  const all = plans.flatMap((plan) => {
    const values = initialParameters(model, plan, 5);
    return plan.parameters.map(({ name, shape }, i) => {
      const scale = shape.length > 1 ? 2 : 1;
      return [name, { type, shape, data: Array.from(values[i] ?? [], (x) => x * scale) }] as const;
    });
  });
  return Object.fromEntries(all);
}

/** Loss and gradients by running the stages one after another, as a pipeline does. */
async function pipeline(
  stages: number,
  float: FloatType,
  level: "basic" | "all",
): Promise<Record<string, Float64Array>> {
  const plans = cutModel(model, stages);
  const parameters = parametersOf(plans, float);
  const own = (plan: StagePlan): Parameters =>
    Object.fromEntries(plan.parameters.map(({ name }) => [name, parameters[name] as Values]));
  const activation = (data: Float64Array): Values => ({ type: float, shape: [rows, model.width], data });
  const inner = plans.slice(0, -1);
  const tail = plans.at(-1) as StagePlan;

  const inputs: Record<string, Values>[] = [{ tokens }];
  for (const plan of inner) {
    const forward = await compile(forwardGraph(model, plan, { ...shape, float }), level);
    const { y } = await forward({ ...inputs.at(-1), ...own(plan) });
    inputs.push({ x: activation(y as Float64Array) });
  }
  const last = await compile(tailGraph(model, tail, { ...shape, float }), level);
  const found = [await last({ ...inputs.at(-1), targets, ...own(tail) })];
  for (const plan of inner.toReversed()) {
    const backward = await compile(backwardGraph(model, plan, { ...shape, float }), level);
    const dy = activation(found.at(-1)?.["dx"] as Float64Array);
    found.push(await backward({ ...inputs[plan.index], dy, ...own(plan) }));
  }
  const { dx: _, ...results } = Object.assign({}, ...found) as Record<string, Float64Array>;
  return results;
}

const norm = (a: ArrayLike<number>): number => Math.sqrt(Array.from(a).reduce((sum, x) => sum + x * x, 0));
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return norm(Array.from(expected, (x, i) => x - (actual[i] ?? Number.NaN))) / norm(expected);
}

/** What is wrong: entries above `limit`, or not a number. */
function above(limit: number, errors: ReadonlyMap<string, number>): [string, number][] {
  return [...errors].filter(([, error]) => !(error <= limit));
}

describe("the graphs of a stage", () => {
  it("give gradients that equal central differences of the loss to 1e-6", async () => {
    const plans = cutModel(model, 1);
    const [plan] = plans as [StagePlan];
    const parameters = parametersOf(plans, "float64");
    const evaluate = await compile(lossGraph(model, plan, { ...shape, float: "float64" }));
    const lossAt = async (changed: Parameters): Promise<number> =>
      (await evaluate({ tokens, targets, ...parameters, ...changed }))["loss"]?.[0] ?? Number.NaN;
    const gradients = await pipeline(1, "float64", "basic");
    const step = 1e-5;
    const errors = new Map<string, number>();
    for (const { name } of plan.parameters) {
      const { shape, data } = parameters[name] as Values;
      const direction = Array.from(data, () => 2 * random() - 1);
      const moved = (by: number): Parameters => ({
        [name]: { type: "float64", shape, data: Array.from(data, (x, i) => x + by * (direction[i] ?? 0)) },
      });
      const difference = ((await lossAt(moved(step))) - (await lossAt(moved(-step)))) / (2 * step);
      const gradient = gradients[`d_${name}`] ?? [];
      const slope = direction.reduce((sum, u, i) => sum + u * (gradient[i] ?? Number.NaN), 0);
      errors.set(name, Math.abs(slope - difference) / (norm(gradient) * norm(direction)));
    }
    expect(above(1e-6, errors)).toEqual([]);
  });

  it.each([1, 2, 3])("give the whole model's loss and gradients when cut into %i stages", async (stages) => {
    const whole = await pipeline(1, "float64", "basic");
    const cut = await pipeline(stages, "float32", "all");
    expect(Object.keys(cut).sort()).toEqual(Object.keys(whole).sort());
    const errors = Object.entries(whole).map(
      ([name, expected]) => [name, relativeError(cut[name] ?? [], expected)] as const,
    );
    expect(above(1e-5, new Map(errors))).toEqual([]);
  });

  it("see no later token: a changed last token changes only the last position", async () => {
    const [plan] = cutModel(model, 2) as [StagePlan];
    const run = await compile(forwardGraph(model, plan, { batch: 1, sequence: 6, float: "float64" }));
    const parameters = parametersOf([plan], "float64");
    const outputOf = async (data: number[]): Promise<Float64Array> =>
      (await run({ tokens: { type: "int32", shape: [6], data }, ...parameters }))["y"] as Float64Array;
    const [before, after] = [await outputOf([1, 2, 3, 4, 5, 6]), await outputOf([1, 2, 3, 4, 5, 7])];
    const last = 5 * model.width;
    expect(after.slice(0, last)).toEqual(before.slice(0, last));
    expect(relativeError(after.slice(last), before.slice(last))).toBeGreaterThan(1e-3);
  });

  it("train: the loss on a small text falls from ln(256) to below 1 in 60 steps", async () => {
    const corpus = new TextEncoder().encode("to be, or not to be: that is the question. ".repeat(20));
    const language: ModelSpec = { ...model, vocabulary: 256, width: 32, hidden: 64, blocks: 2 };
    const [plan] = cutModel(language, 1) as [StagePlan];
    const graph = tailGraph(language, plan, { batch: 4, sequence: 16 });
    const run = await compile(graph, "all");
    const parameters = initialParameters(language, plan, 1);
    const zeros = (): Float32Array[] => parameters.map((p) => new Float32Array(p.length));
    const [m, v] = [zeros(), zeros()];
    const optimizer = { ...DEFAULT_OPTIMIZER, learningRate: 1e-2, decaySteps: 60 };
    const losses: number[] = [];
    const place = randomStream("train");
    for (let step = 0; step < 60; step++) {
      const offsets = Array.from({ length: 4 }, () => Math.floor(place() * 800));
      const { inputs, targets } = tokensAt(corpus, offsets, 16);
      const feeds = Object.fromEntries(
        plan.parameters.map(({ name, shape }, i) => [
          name,
          { type: "float32" as const, shape, data: parameters[i] ?? [] },
        ]),
      );
      const found = await run({
        tokens: { type: "int32", shape: [64], data: inputs },
        targets: { type: "int32", shape: [64], data: targets },
        ...feeds,
      });
      losses.push(found["loss"]?.[0] ?? Number.NaN);
      const gradients = plan.parameters.map(({ name }) => Float32Array.from(found[`d_${name}`] ?? []));
      adamwStep(parameters, gradients, m, v, { plan, optimizer, step, gradientScale: 1 });
    }
    expect(losses[0]).toBeCloseTo(Math.log(256), 1);
    expect(losses.at(-1)).toBeLessThan(1);
  });

  it("name their inputs and outputs as the worker feeds and reads them", () => {
    const [head, middle, tail] = cutModel(model, 3) as [StagePlan, StagePlan, StagePlan];
    const names = (plan: StagePlan): string[] => plan.parameters.map(({ name }) => name);
    const gradients = (plan: StagePlan): string[] => names(plan).map((name) => `d_${name}`);
    expect(forwardGraph(model, head, shape)).toMatchObject({
      inputs: ["tokens", ...names(head)],
      outputs: ["y"],
    });
    expect(backwardGraph(model, head, shape)).toMatchObject({
      inputs: ["tokens", "dy", ...names(head)],
      outputs: gradients(head),
    });
    expect(backwardGraph(model, middle, shape)).toMatchObject({
      inputs: ["x", "dy", ...names(middle)],
      outputs: ["dx", ...gradients(middle)],
    });
    expect(tailGraph(model, tail, shape)).toMatchObject({
      inputs: ["x", "targets", ...names(tail)],
      outputs: ["loss", "dx", ...gradients(tail)],
    });
    expect(lossGraph(model, tail, shape)).toMatchObject({
      inputs: ["x", "targets", ...names(tail)],
      outputs: ["loss"],
    });
  });

  it("are refused for the wrong stage", () => {
    const [head, tail] = cutModel(model, 2) as [StagePlan, StagePlan];
    expect(() => forwardGraph(model, tail, shape)).toThrow(expect.objectContaining({ code: "wrong-stage" }));
    expect(() => lossGraph(model, head, shape)).toThrow(expect.objectContaining({ code: "wrong-stage" }));
  });

  it("are small files: parameters are inputs, not contents", () => {
    const wide: ModelSpec = { ...model, width: 4096, heads: 32, hidden: 11_008, vocabulary: 32_000 };
    const [plan] = cutModel(wide, 1) as [StagePlan];
    expect(plan.parameterCount).toBeGreaterThan(800e6);
    expect(tailGraph(wide, plan, { batch: 1, sequence: 1024 }).bytes.length).toBeLessThan(1e6);
  });
});
