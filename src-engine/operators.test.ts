import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { differentiate } from "./differentiate.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { encodeModel } from "./model-file.ts";
import { OPERATORS, type OperatorName } from "./operators.ts";
import { feedsFor, tensorsOf } from "./operators/case-feeds.test-support.ts";
import { CASES, type Case, type Input } from "./operators/cases.test-support.ts";
import { worstDifference } from "./operators/differences.test-support.ts";
import { FLOAT64_LOWERINGS, inFloat64 } from "./operators/float64.test-support.ts";
import { runKernel } from "./operators/kernel.test-support.ts";
import { randomStream } from "./random.ts";
import { compile } from "./run.test-support.ts";
import { sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

const names = Object.keys(OPERATORS) as OperatorName[];
/** With a rule, or written in operators that have one. */
const differentiable = names.filter((op) => OPERATORS[op].gradient ?? OPERATORS[op].expand);
/** The engine's own composites, which no runtime has a kernel for. */
const ENGINE_ONLY: ReadonlySet<string> = new Set(["SwiGLU", "Rotary", "CausalAttention", "MaskedDropout"]);

function caseOf(op: OperatorName): fc.Arbitrary<Case> {
  const drawn = CASES[op];
  if (!drawn) throw new Error(`no case for ${op}`);
  return drawn;
}

/**
 * What CPU, WebGPU, CUDA and DirectML all have kernels for in ONNX Runtime 1.30, by its kernel tables
 * and the classes in its library (src-engine/README.md says what is in doubt).
 */
const PORTABLE: ReadonlySet<string> = new Set(
  (
    "Add Sub Mul Div Neg Abs Exp Log Sqrt Reciprocal Sigmoid Tanh Erf Sin Cos Pow Softplus Elu HardSigmoid " +
    "Where Equal Greater Less Cast Identity ReduceSum ReduceMean ReduceMax ReduceL1 ReduceL2 Softmax " +
    "Reshape Expand Transpose Split Concat Slice Pad Gather GatherElements ScatterElements " +
    "MatMul Gemm Conv ConvTranspose"
  ).split(" "),
);

describe("the table of operators", () => {
  it("has a drawn check for every rule", () => {
    expect(Object.keys(CASES).sort()).toEqual([...differentiable].sort());
  });

  it.each(differentiable)("%s: the rule equals central differences to 1e-6", async (op) => {
    await fc.assert(
      fc.asyncProperty(caseOf(op), fc.nat(), async (drawn, seed) => {
        expect(await worstError(op, drawn, seed)).toBeLessThanOrEqual(1e-6);
      }),
      { seed: 2, numRuns: 50 },
    );
  });

  it.each(differentiable.filter((op) => !ENGINE_ONLY.has(op)))(
    "%s: means what ONNX Runtime's own operator means",
    async (op) => {
      await fc.assert(
        fc.asyncProperty(caseOf(op), fc.nat(), async (drawn, seed) => {
          expect(await differenceFromKernel(op, drawn, seed, "float32")).toBeLessThanOrEqual(1e-5);
        }),
        { seed: 3, numRuns: 20 },
      );
    },
  );

  it.each(differentiable)(
    "%s: forward and gradient are written in operators that every provider has",
    (op) => {
      for (const { inputs, attributes, differentiated } of fc.sample(caseOf(op), { seed: 5, numRuns: 30 })) {
        const graph = new GraphBuilder(OPERATORS);
        const tensors = tensorsOf(graph, inputs);
        const outputs = graph.applyAll(op, tensors, attributes).slice(0, differentiated);
        differentiate(
          graph,
          new Map(outputs.map((output) => [output, graph.input("dy", output.shape)])),
          tensors,
        );
        const others = graph.nodes.map(({ op }) => op).filter((name) => name !== op && !PORTABLE.has(name));
        expect(others).toEqual([]);
      }
    },
  );

  it.each(Object.keys(FLOAT64_LOWERINGS) as OperatorName[])(
    "%s: its float64 form, in which rules are checked, means the same",
    async (op) => {
      await fc.assert(
        fc.asyncProperty(caseOf(op), fc.nat(), async (drawn, seed) => {
          expect(await differenceFromKernel(op, drawn, seed, "float64")).toBeLessThanOrEqual(1e-5);
        }),
        { seed: 4, numRuns: 20 },
      );
    },
  );
});

/** y and dL/dx of one operator at one place, for L = Σ y ⊙ dy. */
async function at(
  build: (x: Tensor) => Tensor,
  shape: readonly number[],
  x: readonly number[],
  dy: readonly number[],
): Promise<{ y: number[]; dx: number[] }> {
  const graph = new GraphBuilder(OPERATORS, "float64");
  const input = graph.input("x", shape);
  const y = build(input);
  const [dx] = differentiate(graph, new Map([[y, graph.constant("float64", y.shape, dy)]]), [input]) as [
    Tensor,
  ];
  const { graph: exact, of } = inFloat64(graph);
  const run = await compile({ bytes: encodeModel(exact, { y: of(y), dx: of(dx) }) });
  const found = await run({ x: { shape, data: x } });
  return { y: [...(found["y"] ?? [])], dx: [...(found["dx"] ?? [])] };
}

describe("where a function has no slope, or several", () => {
  it.each([
    ["Relu", 0, 0],
    ["LeakyRelu", 0, 0.01],
    ["Abs", 0, 0],
    ["Sign", 0, 0],
    ["HardSigmoid", 2.5, 0],
  ] as const)("%s at %f has the slope %f, as in PyTorch", async (op, x, slope) => {
    expect((await at((x) => x.graph.apply(op, [x]), [1], [x], [1])).dx[0]).toBeCloseTo(slope, 7);
  });

  it("Clip has the slope 1 at its bounds and 0 beyond", async () => {
    const clip = (x: Tensor): Tensor => x.graph.apply("Clip", [x, x.graph.full([], -1), x.graph.full([], 1)]);
    expect((await at(clip, [4], [-1, 1, 1.5, -2], [1, 1, 1, 1])).dx).toEqual([1, 1, 0, 0]);
  });

  it("Pow has the slopes of a polynomial at 0", async () => {
    const powers = (x: Tensor): Tensor => x.pow(x.graph.constant("float64", [4], [0, 1, 2, 3]));
    expect((await at(powers, [4], [0, 0, 0, 0], [1, 1, 1, 1])).dx).toEqual([0, 1, 0, 0]);
  });

  it("Max and ReduceMax give to equals in equal parts", async () => {
    const same = (x: Tensor): Tensor => x.graph.apply("Max", [x, x.mul(2).sub(3)]);
    expect((await at(same, [1], [3], [4])).dx).toEqual([2 + 4]);
    expect((await at((x) => x.max(0), [3], [7, 1, 7], [4])).dx).toEqual([2, 0, 2]);
  });

  it("ReduceProd gives to each factor the product of the others, also beside zeros", async () => {
    const product = (x: Tensor): Tensor => x.graph.apply("ReduceProd", [x, x.graph.indices([1])]);
    const x = [2, 3, 4, 2, 0, 4, 0, 3, 0];
    expect((await at(product, [3, 3], x, [1, 10, 100])).dx).toEqual([12, 8, 6, 0, 80, 0, 0, 0, 0]);
  });

  it("Selu and Celu have a slope where an exponential would have no end", async () => {
    for (const op of ["Selu", "Celu"] as const) {
      const { y, dx } = await at((x) => x.graph.apply(op, [x]), [2], [2000, -2000], [1, 1]);
      expect([...y, ...dx].every(Number.isFinite)).toBe(true);
      expect(dx[0]).toBeGreaterThan(0.9);
    }
  });

  it("MaxPool gives all to the first of equals in each window, also beside padding", async () => {
    const pooled = (x: Tensor): Tensor =>
      x.graph.apply("MaxPool", [x], { kernel_shape: [2, 2], strides: [2, 2], pads: [1, 0, 0, 0] });
    const x = [-1, -1, 5, 5, 3, 3, 2, 4, 3, 3, 4, 4];
    const { y, dx } = await at(pooled, [1, 1, 3, 4], x, [1, 10, 100, 1000]);
    expect(y).toEqual([-1, 5, 3, 4]);
    expect(dx).toEqual([1, 0, 10, 0, 100, 0, 0, 1000, 0, 0, 0, 0]);
  });
});

describe("numbers that no model has", () => {
  const image = [1, 4, 6, 6];
  it.each([
    ["MaxPool", { kernel_shape: [2, 2], strides: [0, 1] }],
    ["MaxPool", { kernel_shape: [2, 2], pads: [-1, 0, 0, 0] }],
    ["MaxPool", { kernel_shape: [1e9, 1] }],
    ["MaxPool", { kernel_shape: [2, 2], pads: [1e12, 0, 0, 0] }],
    ["AveragePool", { kernel_shape: [0, 2] }],
    ["Conv", { group: 3 }],
    ["Conv", { dilations: [0, 0] }],
    ["ConvTranspose", { pads: [50, 0, 50, 0] }],
    ["GroupNormalization", { num_groups: 3 }],
  ] as const)("%s with %j is refused at once", (op, attributes) => {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("x", image);
    const rest = op.startsWith("Conv") ? [graph.input("w", [4, 4, 3, 3])] : [];
    const vectors = op === "GroupNormalization" ? [graph.input("a", [4]), graph.input("b", [4])] : [];
    expect(() => graph.apply(op, [x, ...rest, ...vectors], attributes)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^bad-(shape|node)$/) }),
    );
  });

  it("a Pad of a billion positions makes no list of them", () => {
    const graph = new GraphBuilder(OPERATORS);
    const padded = graph.apply("Pad", [graph.input("x", [2]), graph.indices([0, 1e12])]);
    expect(padded.shape).toEqual([1e12 + 2]);
  });
});

describe("a pooling", () => {
  it.each(["MaxPool", "AveragePool"] as const)(
    "%s of which a window would see only padding is refused",
    (op) => {
      const graph = new GraphBuilder(OPERATORS);
      const x = graph.input("x", [1, 1, 3]);
      const refusal = expect.objectContaining({
        code: "bad-node",
        message: expect.stringMatching(/only padding/),
      });
      const attributes = { kernel_shape: [2], strides: [2], pads: [1, 1] };
      expect(graph.apply(op, [x], attributes).shape).toEqual([1, 1, 2]);
      expect(() => graph.apply(op, [x], { ...attributes, ceil_mode: 1 })).toThrow(refusal);
      const straddling = { kernel_shape: [2], dilations: [2], pads: [1, 1] };
      expect(() => graph.apply(op, [graph.input("point", [1, 1, 1])], straddling)).toThrow(refusal);
    },
  );
});

describe("cross-entropy", () => {
  it("of scores that no exponential could hold is exact", async () => {
    const loss = (x: Tensor): Tensor =>
      x.graph.apply("SoftmaxCrossEntropyLoss", [x, x.graph.constant("int32", [2], [1, 0])]);
    const { y, dx } = await at(loss, [2, 2], [2000, 1000, -5000, -7000], [1]);
    expect(y).toEqual([500]);
    expect(dx).toEqual([0.5, -0.5, 0, 0]);
  });
});

describe("dropout", () => {
  it("with a mask drops the same elements forward and backward, and scales the others", async () => {
    const dropped = (x: Tensor): Tensor =>
      x.graph.apply("MaskedDropout", [x, x.graph.constant("bool", [4], [1, 0, 0, 1])], { ratio: 0.75 });
    expect(await at(dropped, [4], [1, 2, 3, 4], [1, 1, 1, 10])).toEqual({
      y: [4, 0, 0, 16],
      dx: [4, 0, 0, 40],
    });
  });

  it("that would draw its own numbers is refused, and says what to do", () => {
    const graph = new GraphBuilder(OPERATORS);
    const training = [graph.input("x", [2]), graph.full([], 0.5), graph.constant("bool", [], [1])];
    expect(() => graph.apply("Dropout", training)).toThrow(
      expect.objectContaining({ code: "bad-node", message: expect.stringMatching(/MaskedDropout/) }),
    );
  });
});

describe("a table of rows", () => {
  /** E[ids] and h·Eᵀ, as where an embedding is also the output matrix; and dE for some of the two. */
  async function tableGradient(rows: number, seeded: readonly ("rows" | "scores")[]): Promise<Float64Array> {
    const graph = new GraphBuilder(OPERATORS, "float64");
    const [table, h] = [graph.input("table", [rows, 2]), graph.input("h", [4, 2])];
    const ids = graph.input("ids", [4], "int32");
    const results = { rows: table.gather(ids), scores: h.matmul(table.transposed()) };
    const seeds = seeded.map(
      (name) => [results[name], graph.full([], 2).expand(results[name].shape)] as const,
    );
    const [d] = differentiate(graph, new Map(seeds), [table]) as [Tensor];
    const run = await compile({ bytes: encodeModel(graph, { d }) });
    const found = await run({
      table: { shape: [rows, 2], data: new Float64Array(2 * rows) },
      h: { shape: [4, 2], data: [1, 2, 3, 4, 5, 6, 7, 8] },
      ids: { shape: [4], data: [5, 0, 5, -1], type: "int32" },
    });
    return found["d"] ?? new Float64Array();
  }

  it.each([11, 3000])("of %i rows that is read and multiplied with gets both gradients", async (rows) => {
    const both = await tableGradient(rows, ["rows", "scores"]);
    const [read, multiplied] = [await tableGradient(rows, ["rows"]), await tableGradient(rows, ["scores"])];
    expect(both).toEqual(read.map((value, i) => value + (multiplied[i] ?? 0)));
    expect([...read.subarray(10, 12), ...read.subarray(-2)]).toEqual([4, 4, 2, 2]);
  });

  it("that is large is never compared with every id", () => {
    const graph = new GraphBuilder(OPERATORS);
    const [n, rows] = [64, 50_257];
    const table = graph.input("table", [rows, 8]);
    const y = table.gather(graph.input("ids", [n], "int32"));
    differentiate(graph, new Map([[y, graph.input("dy", y.shape)]]), [table]);
    const largest = Math.max(
      ...graph.nodes.flatMap(({ outputs }) => outputs.map(({ shape }) => sizeOf(shape))),
    );
    expect(largest).toBe(8 * rows);
  });
});

/** The largest difference of any output, relative to the largest value; ∞ where shapes differ. */
async function differenceFromKernel(
  op: OperatorName,
  { inputs, attributes = {} }: Case,
  seed: number,
  float: "float32" | "float64",
): Promise<number> {
  const written = new GraphBuilder(OPERATORS, float);
  const outputs = written.applyAll(op, tensorsOf(written, inputs), attributes);
  const { graph, of } =
    float === "float64" ? inFloat64(written) : { graph: written, of: (each: Tensor) => each };
  const feeds = feedsFor(graph, inputs, randomStream(seed, op));
  const results = Object.fromEntries(outputs.map((output, i) => [`y${i}`, of(output)]));
  const ours = await (await compile({ bytes: encodeModel(graph, results) }))(feeds);
  const data = inputs.map((_, i) => feeds[`x${i}`]?.data);
  const given = tensorsOf(new GraphBuilder(OPERATORS, "float32"), inputs);
  const theirs = await runKernel(op, given, attributes, outputs.length, data);
  return Math.max(
    ...theirs.map(({ shape, data }, i) => {
      if (shape.join() !== outputs[i]?.shape.join()) return Infinity;
      const scale = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      return (
        data.reduce((most, value, k) => Math.max(most, Math.abs(value - (ours[`y${i}`]?.[k] ?? NaN))), 0) /
        scale
      );
    }),
  );
}

async function worstError(op: OperatorName, drawn: Case, seed: number): Promise<number> {
  const graph = new GraphBuilder(OPERATORS, "float64");
  const tensors = tensorsOf(graph, drawn.inputs);
  const outputs = graph.applyAll(op, tensors, drawn.attributes).slice(0, drawn.differentiated);
  const seeds = new Map(outputs.map((output, i) => [output, graph.input(`dy${i}`, output.shape)]));
  const targets = tensors.filter((_, i) => !("constant" in (drawn.inputs[i] as Input)));
  const random = randomStream(seed, op);
  return worstDifference({ graph, seeds, targets, feeds: feedsFor(graph, drawn.inputs, random), random });
}
