import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER, type LlamaSpec } from "../src-protocol/model.ts";
import { adamwStep } from "./adamw.ts";
import type { FloatType } from "./element-type.ts";
import { llamaModel } from "./llama-model.ts";
import { initialValues } from "./parameters.ts";
import type { Recompute } from "./recompute.ts";
import { fromBinary } from "@bufbuild/protobuf";
import type { Graph } from "./graph.ts";
import { ModelProtoSchema } from "./onnx_pb.js";
import { randomStream } from "./random.ts";
import { compile, type Values } from "./run.test-support.ts";
import { tokensAt } from "./samples.ts";
import type { Stage } from "./stage.ts";
import { cutModel } from "./stages.ts";

const model: LlamaSpec = {
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

const cut = (stages: number, float: FloatType = "float32", spec = model): Stage[] =>
  cutModel(llamaModel(spec, shape, float), stages);

/** Larger than the initial values, so that attention and gates leave their linear range. */
function parametersOf(stages: readonly Stage[], type: FloatType): Parameters {
  const all = stages.flatMap(({ parameters }) =>
    parameters.map((info) => {
      const scale = info.shape.length > 1 ? 2 : 1;
      const data = Array.from(initialValues(model, info, 5), (x) => x * scale);
      return [info.name, { type, shape: info.shape, data }] as const;
    }),
  );
  return Object.fromEntries(all);
}

interface Way {
  stages: number;
  float: FloatType;
  level: "basic" | "all";
  recompute?: Recompute;
  /** What the sums of the gradients begin with; null: they are not summed. */
  sums?: number | null;
}

/** Loss and gradients by running the stages one after another, as a pipeline does. */
async function pipeline(way: Way): Promise<Record<string, Float64Array>> {
  const { float, level, recompute = "full", sums = null } = way;
  const stages = cut(way.stages, float);
  const parameters = parametersOf(stages, float);
  const own = (stage: Stage): Parameters =>
    Object.fromEntries(stage.parameters.map(({ name }) => [name, parameters[name] as Values]));
  const begun = (stage: Stage): Parameters =>
    sums === null
      ? {}
      : Object.fromEntries(
          stage.parameters.map(({ name, shape, size }) => [
            `g_${name}`,
            { type: float, shape, data: Array.from({ length: size }, () => sums) },
          ]),
        );
  const options = { recompute, accumulate: sums !== null };
  const activation = (data: Float64Array): Values => ({ type: float, shape: [rows, model.width], data });
  const inner = stages.slice(0, -1);
  const tail = stages.at(-1) as Stage;

  const arrived: Record<string, Values>[] = [];
  let input: Record<string, Values> = { tokens };
  for (const stage of inner) {
    const forward = await compile(stage.forward(options), level);
    const { y, ...kept } = await forward({ ...input, ...own(stage) });
    const shapes = keptShapes(stage.backward(options));
    expect(Object.keys(kept)).toEqual([...shapes.keys()]);
    arrived.push({
      ...input,
      ...Object.fromEntries(
        Object.entries(kept).map(([name, data]) => [
          name,
          { type: float, shape: shapes.get(name) ?? [], data },
        ]),
      ),
    });
    input = { x: activation(y as Float64Array) };
  }
  const last = await compile(tail.train(options), level);
  const found = [await last({ ...input, targets, ...own(tail), ...begun(tail) })];
  for (const stage of inner.toReversed()) {
    const backward = await compile(stage.backward(options), level);
    const dy = activation(found.at(-1)?.["dx"] as Float64Array);
    found.push(await backward({ ...arrived[stage.index], dy, ...own(stage), ...begun(stage) }));
  }
  const { dx: _, ...results } = Object.assign({}, ...found) as Record<string, Float64Array>;
  return results;
}

/** What it asks for of the forward's results. */
function keptShapes({ bytes, inputs }: Graph): Map<string, readonly number[]> {
  const { graph } = fromBinary(ModelProtoSchema, bytes);
  const shapeOf = (index: number): number[] => {
    const type = graph?.input[index]?.type?.value;
    const dims = type?.case === "tensorType" ? (type.value.shape?.dim ?? []) : [];
    return dims.map(({ value }) => (value.case === "dimValue" ? Number(value.value) : 0));
  };
  return new Map(
    inputs.flatMap((name, index) => (name.startsWith("kept_") ? [[name, shapeOf(index)] as const] : [])),
  );
}

const norm = (a: ArrayLike<number>): number => Math.sqrt(Array.from(a).reduce((sum, x) => sum + x * x, 0));
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return norm(Array.from(expected, (x, i) => x - (actual[i] ?? Number.NaN))) / norm(expected);
}

/** What is wrong: entries above `limit`, or not a number. */
function above(limit: number, errors: ReadonlyMap<string, number>): [string, number][] {
  return [...errors].filter(([, error]) => !(error <= limit));
}

describe("the stages of a model", () => {
  const flops = ({ flops }: Stage): number => flops.forward;

  it("have every parameter once, in order, with the embedding first and the output last", () => {
    const drawn = fc
      .integer({ min: 1, max: 12 })
      .chain((blocks) => fc.tuple(fc.constant(blocks), fc.integer({ min: 1, max: 2 * blocks })));
    fc.assert(
      fc.property(drawn, ([blocks, count]) => {
        const spec = { ...model, blocks };
        const stages = cut(count, "float32", spec);
        const [whole] = cut(1, "float32", spec) as [Stage];
        const names = stages.flatMap((stage) => stage.parameters.map(({ name }) => name));
        expect(names).toEqual(whole.parameters.map(({ name }) => name));
        expect(stages.map(({ isHead, isTail }) => [isHead, isTail])).toEqual(
          stages.map((_, i) => [i === 0, i === count - 1]),
        );
        expect(stages.reduce((sum, stage) => sum + flops(stage), 0)).toBe(flops(whole));
      }),
      { seed: 2, numRuns: 20 },
    );
  });

  it("of the default model are its blocks; a heavy output matrix takes blocks from the tail", () => {
    const blocks = (spec: LlamaSpec): number[] =>
      cut(3, "float32", spec).map(
        ({ parameters }) => parameters.filter(({ name }) => /(norm1|norm2)$/.test(name)).length / 2,
      );
    expect(blocks(DEFAULT_MODEL)).toEqual([1, 1, 1]);
    const [first, second, last] = blocks({ ...DEFAULT_MODEL, blocks: 9, vocabulary: 20_000 });
    expect([first, second]).toEqual([4.5, 4.5]);
    expect(last).toBe(0);
  });

  it("count the default model's parameters and operations", () => {
    const [whole] = cutModel(llamaModel(DEFAULT_MODEL, { batch: 1, sequence: 128 }), 1) as [Stage];
    expect(whole.parameterCount).toBe(3 * (4 * 256 ** 2 + 3 * 256 * 704 + 512) + 2 * 256 * 256 + 256);
    const formula = 3 * (2 * (4 * 256 ** 2 + 3 * 256 * 704) + 4 * 128 * 256) + 2 * 256 * 256;
    // Sums of norms are products of one column, and the embedding's gradient is one with a one-hot matrix.
    expect(whole.flops.forward / (128 * formula)).toBeCloseTo(1, 2);
    expect(whole.flops.backward / (2 * 128 * formula)).toBeCloseTo(1, 1);
  });

  it("are refused where the model cannot be cut, and it is said where it can", () => {
    expect(() => cut(10)).toThrow(
      expect.objectContaining({ code: "too-many-stages", message: expect.stringContaining("1 to 9 stages") }),
    );
    expect(() => cut(1, "float32", { ...model, heads: 3 })).toThrow(
      expect.objectContaining({ code: "bad-model" }),
    );
  });
});

describe("the graphs of a stage", () => {
  it("give gradients that equal central differences of the loss to 1e-6", async () => {
    const stages = cut(1, "float64");
    const [stage] = stages as [Stage];
    const parameters = parametersOf(stages, "float64");
    const evaluate = await compile(stage.forward());
    const lossAt = async (changed: Parameters): Promise<number> =>
      (await evaluate({ tokens, targets, ...parameters, ...changed }))["loss"]?.[0] ?? Number.NaN;
    const gradients = await pipeline({ stages: 1, float: "float64", level: "basic" });
    const step = 1e-5;
    const errors = new Map<string, number>();
    for (const { name } of stage.parameters) {
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

  it.each<Way>([
    { stages: 1, float: "float32", level: "all" },
    { stages: 2, float: "float32", level: "all" },
    { stages: 3, float: "float32", level: "all" },
    { stages: 3, float: "float32", level: "all", recompute: "selective" },
    { stages: 5, float: "float32", level: "all", recompute: "selective" },
  ])("give the whole model's loss and gradients: $stages stages, $recompute recomputation", async (way) => {
    const whole = await pipeline({ stages: 1, float: "float64", level: "basic" });
    const found = await pipeline(way);
    expect(Object.keys(found).sort()).toEqual(Object.keys(whole).sort());
    const errors = Object.entries(whole).map(
      ([name, expected]) => [name, relativeError(found[name] ?? [], expected)] as const,
    );
    expect(above(1e-5, new Map(errors))).toEqual([]);
  });

  it("add to sums that are given to them, exactly as adding later would", async () => {
    const way = { stages: 2, float: "float64", level: "basic" } as const;
    const [plain, summed] = [await pipeline(way), await pipeline({ ...way, sums: 0.25 })];
    const wrong: string[] = [];
    for (const [name, gradient] of Object.entries(plain)) {
      if (name === "loss") continue;
      const expected = gradient.map((value) => value + 0.25);
      if (!(relativeError(summed[name] ?? [], expected) < 1e-14)) wrong.push(name);
    }
    expect(wrong).toEqual([]);
  });

  it("keep less memory than they compute again, and say how much", () => {
    const [head, middle, tail] = cut(3) as [Stage, Stage, Stage];
    // Query, key, value, what attention gives, the sum after it, gate and up; and attention's weights.
    const floats = 5 * model.width + 2 * model.hidden;
    const weights = model.heads * shape.sequence;
    expect(middle.memory.full.keptBytes).toBe(4 * rows * model.width);
    expect(middle.memory.selective.keptBytes).toBe(4 * rows * (model.width + floats + weights));
    expect(head.memory.full.keptBytes).toBe(0);
    expect(tail.memory.selective).toEqual(tail.memory.full);
    const [, long] = cutModel(llamaModel(model, { batch: 1, sequence: 30 }), 3) as [Stage, Stage];
    expect(long.memory.selective.keptBytes).toBe(4 * 30 * (model.width + floats));
  });

  it("ask for a query and a key with their positions, and for the weights of attention after the softmax", () => {
    const [, middle] = cut(3) as [Stage, Stage];
    const { bytes } = middle.backward({ recompute: "selective", accumulate: true });
    const ops = fromBinary(ModelProtoSchema, bytes).graph?.node.map(({ opType }) => opType) ?? [];
    expect(ops.filter((op) => op === "Softmax")).toEqual([]);
    expect(keptShapes(middle.backward({ recompute: "selective" })).get("kept_0")).toEqual([4, 6, 8]);
  });

  it("see no later token: a changed last token changes only the last position", async () => {
    const [stage] = cutModel(llamaModel(model, { batch: 1, sequence: 6 }, "float64"), 2) as [Stage];
    const run = await compile(stage.forward());
    const parameters = parametersOf([stage], "float64");
    const outputOf = async (data: number[]): Promise<Float64Array> =>
      (await run({ tokens: { type: "int32", shape: [6], data }, ...parameters }))["y"] as Float64Array;
    const [before, after] = [await outputOf([1, 2, 3, 4, 5, 6]), await outputOf([1, 2, 3, 4, 5, 7])];
    const last = 5 * model.width;
    expect(after.slice(0, last)).toEqual(before.slice(0, last));
    expect(relativeError(after.slice(last), before.slice(last))).toBeGreaterThan(1e-3);
  });

  it("train: the loss on a small text falls from ln(256) to below 1 in 60 steps", async () => {
    const corpus = new TextEncoder().encode("to be, or not to be: that is the question. ".repeat(20));
    const language: LlamaSpec = { ...model, vocabulary: 256, width: 32, hidden: 64, blocks: 2 };
    const [stage] = cutModel(llamaModel(language, { batch: 4, sequence: 16 }), 1) as [Stage];
    const run = await compile(stage.train(), "all");
    const parameters = stage.parameters.map((info) => initialValues(language, info, 1));
    const zeros = (): Float32Array[] => parameters.map((p) => new Float32Array(p.length));
    const [m, v] = [zeros(), zeros()];
    const optimizer = { ...DEFAULT_OPTIMIZER, learningRate: 1e-2, decaySteps: 60 };
    const losses: number[] = [];
    const place = randomStream("train");
    for (let step = 0; step < 60; step++) {
      const offsets = Array.from({ length: 4 }, () => Math.floor(place() * 800));
      const { tokens, targets } = tokensAt(corpus, offsets, 16);
      const feeds = Object.fromEntries(
        stage.parameters.map(({ name, shape }, i) => [
          name,
          { type: "float32" as const, shape, data: parameters[i] ?? [] },
        ]),
      );
      const found = await run({
        tokens: { type: "int32", shape: [64], data: tokens },
        targets: { type: "int32", shape: [64], data: targets },
        ...feeds,
      });
      losses.push(found["loss"]?.[0] ?? Number.NaN);
      const gradients = stage.parameters.map(({ name }) => Float32Array.from(found[`d_${name}`] ?? []));
      adamwStep(parameters, gradients, m, v, { plan: stage, optimizer, step, gradientScale: 1 });
    }
    expect(losses[0]).toBeCloseTo(Math.log(256), 1);
    expect(losses.at(-1)).toBeLessThan(1);
  });

  it("name their inputs and outputs as the worker feeds and reads them", () => {
    const [head, middle, tail] = cut(3) as [Stage, Stage, Stage];
    const names = (stage: Stage): string[] => stage.parameters.map(({ name }) => name);
    const gradients = (stage: Stage): string[] => names(stage).map((name) => `d_${name}`);
    const sums = (stage: Stage): string[] => names(stage).map((name) => `g_${name}`);
    expect(head.forward()).toMatchObject({ inputs: ["tokens", ...names(head)], outputs: ["y"] });
    expect(head.backward()).toMatchObject({
      inputs: ["tokens", ...names(head), "dy"],
      outputs: gradients(head),
    });
    expect(middle.backward({ accumulate: true })).toMatchObject({
      inputs: ["x", ...names(middle), "dy", ...sums(middle)],
      outputs: ["dx", ...gradients(middle)],
    });
    expect(tail.train()).toMatchObject({
      inputs: ["x", "targets", ...names(tail)],
      outputs: ["loss", "dx", ...gradients(tail)],
    });
    expect(tail.forward()).toMatchObject({ inputs: ["x", "targets", ...names(tail)], outputs: ["loss"] });
  });

  it("are small files: parameters are inputs, not contents", () => {
    const wide = { ...model, width: 4096, heads: 32, hidden: 11_008, vocabulary: 32_000 };
    const [stage] = cutModel(llamaModel(wide, { batch: 1, sequence: 1024 }), 1) as [Stage];
    expect(stage.parameterCount).toBeGreaterThan(800e6);
    expect(stage.train().bytes.length).toBeLessThan(6e6);
  });
});

it("stages whose activations no message can hold are refused, in one sentence", () => {
  const long = llamaModel({ ...model, width: 1024, heads: 8, hidden: 8 }, { batch: 17, sequence: 512 });
  expect(() => cutModel(long, 2)).toThrow("Stage 1 would send 34 MiB for each micro-batch");
  expect(cutModel(long, 1)).toHaveLength(1);
});
