import { describe, expect, it } from "vitest";
import { type Cuttable, type Stage, cutGraph, FLOAT32_ADAMW, pointsOf } from "./cut.ts";
import { bytesOf, peakBytes, productFlops } from "./cut-cost.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { OPERATORS } from "./operators.ts";
import { type Feeds, fixture, inputTypes, relativeError, run } from "./import/golden.test-support.ts";
import { importModel, type ImportedModel } from "./import/import-model.ts";
import { withCrossEntropy } from "./import/loss.ts";
import { DEFAULT_NODE } from "./plan.ts";
import { randomStream } from "./random.ts";
import { sizeOf } from "./shape.ts";

const LANGUAGE = { batch: 2, sequence: 6 };
const nodes = (count: number) => Array.from({ length: count }, () => DEFAULT_NODE);
const cut = (model: Cuttable, stages: number): Stage[] => cutGraph(model, { stages, nodes: nodes(stages) });
const languageModel = (name: string): ImportedModel =>
  withCrossEntropy(importModel(fixture(name), { sizes: LANGUAGE }));

/** The number of stages beyond which there is nothing to cut. */
function mostStages(model: Cuttable): number {
  for (let count = 1; ; count++) {
    try {
      cut(model, count + 1);
    } catch {
      return count;
    }
  }
}

/** Runs the stages one after the other, forward and back, as a pipeline would. */
async function pipeline(
  model: ImportedModel,
  stages: readonly Stage[],
): Promise<Record<string, Float32Array>> {
  const random = randomStream("cut.test");
  const stored = [...model.parameters, ...model.tables];
  const seeds = model.outputs.map(({ name, tensor }) => ({ name: `d_${name}`, tensor }));
  const feeds: Record<string, ArrayLike<number>> = {
    ...Object.fromEntries(stored.map(({ name, read }) => [name, read()])),
    ...Object.fromEntries(
      [...model.inputs, ...seeds].map(({ name, tensor: { type, shape } }) => [
        name,
        Array.from({ length: sizeOf(shape) }, () =>
          type.startsWith("int") ? Math.floor(24 * random()) : random(),
        ),
      ]),
    ),
  };
  const types = inputTypes([...model.inputs, ...stored, ...seeds]);
  const points = new Map(pointsOf(model).map(({ node, tensor }) => [node, tensor]));
  const typesAt = (index: number) => {
    const boundary = (at: number) => points.get(stages[at]?.endsAfter ?? "");
    const [x, y] = [boundary(index - 1), boundary(index)];
    return new Map([...types, ...(x ? [["x", x] as const] : []), ...(y ? [["dy", y] as const] : [])]);
  };

  const results: Record<string, Float32Array> = {};
  const arrived: Feeds[] = [];
  let x: Float32Array | undefined;
  for (const [i, stage] of stages.entries()) {
    const own: Feeds = { ...feeds, ...(x ? { x } : {}) };
    arrived.push(own);
    const found = await run(stage.forward(), typesAt(i), own);
    x = found["y"];
    if (i === stages.length - 1) Object.assign(results, found);
  }
  let dy: Float32Array | undefined;
  for (const [i, stage] of [...stages.entries()].reverse()) {
    const found = await run(stage.backward(), typesAt(i), { ...arrived[i], ...(dy ? { dy } : {}) });
    dy = found["dx"];
    for (const [name, gradient] of Object.entries(found)) {
      if (name === "dx") continue;
      const sum = results[name];
      results[name] = sum ? gradient.map((value, k) => value + (sum[k] ?? 0)) : gradient;
    }
  }
  return results;
}

describe("a cut model", () => {
  it.each([
    ["llama-tied", () => languageModel("llama-tied")],
    ["gpt2-tied", () => languageModel("gpt2-tied")],
    ["resnet", () => importModel(fixture("resnet"))],
    ["mlp", () => importModel(fixture("mlp"), { sizes: { batch: 5 } })],
  ])(
    "%s: stage by stage gives what the whole gives, forward and gradients, for every number of stages",
    async (_, make) => {
      const model = make();
      const whole = await pipeline(model, cut(model, 1));
      const most = mostStages(model);
      expect(most).toBeGreaterThanOrEqual(3);
      const largest = Math.max(...Object.values(whole).map((each) => Math.hypot(...each)));
      for (const count of new Set([2, 3, most])) {
        const stages = cut(model, count);
        expect(stages).toHaveLength(count);
        const found = await pipeline(model, stages);
        expect(Object.keys(found).sort()).toEqual(Object.keys(whole).sort());
        for (const [name, expected] of Object.entries(whole)) {
          const scale = Math.max(1, (1e-3 * largest) / Math.hypot(...expected));
          expect
            .soft(relativeError(found[name], expected) / scale, `${count} ${name}`)
            .toBeLessThanOrEqual(1e-5);
        }
      }
    },
  );

  it("is cut at the residual stream, after attention and after feed-forward", () => {
    const model = importModel(fixture("gpt2-tied"), { sizes: LANGUAGE });
    expect(pointsOf(model).map(({ node }) => node.replace(/\/Add_\d+$/, ""))).toEqual(
      expect.arrayContaining(["/blocks.0/Add", "/blocks.0/Add_2", "/blocks.1/Add"]),
    );
  });

  it("is not cut where no work lies between", () => {
    const model = importModel(fixture("resnet"));
    for (const { parameterCount, flops } of cut(model, mostStages(model)))
      expect(parameterCount + flops.forward).toBeGreaterThan(0);
  });

  it("has a tied parameter in the first and the last stage, each with its part of the gradient", () => {
    const stages = cut(languageModel("llama-tied"), 3);
    const holders = stages.filter(({ parameters }) => parameters.some(({ name }) => name === "embed.weight"));
    expect(holders.map(({ index }) => index)).toEqual([0, 2]);
  });

  it("names what each stage is fed, and what it gives", () => {
    const [head, middle, tail] = cut(languageModel("llama-tied"), 3);
    expect([head?.data, middle?.data, tail?.data]).toEqual([["input"], [], ["targets"]]);
    expect(head?.forward()).toMatchObject({ outputs: ["y"] });
    expect(head?.backward().outputs).not.toContain("dx");
    expect(middle?.backward().inputs.slice(0, 1)).toEqual(["x"]);
    expect(middle?.backward().inputs).toContain("dy");
    expect(middle?.backward().outputs[0]).toBe("dx");
    expect(tail?.forward().outputs).toEqual(["loss"]);
    expect(tail?.backward().inputs).not.toContain("dy");
  });

  it("states FLOPs, memory and boundary bytes of each stage", () => {
    const model = languageModel("llama-tied");
    const whole = cut(model, 1)[0];
    const stages = cut(model, 2);
    const sum = (of: (stage: Stage) => number): number =>
      stages.reduce((total, stage) => total + of(stage), 0);
    expect(sum(({ flops }) => flops.forward)).toBe(whole?.flops.forward);
    expect(sum(({ flops }) => flops.backward)).toBe(whole?.flops.backward);
    // Every product has two products in its gradient; the embedding's is one with a one-hot matrix.
    const embedding = 2 * 12 * 24 * 16;
    expect(whole?.flops.backward).toBe(2 * (whole?.flops.forward ?? 0) + embedding);
    expect(stages.map(({ boundaryBytes }) => boundaryBytes)).toEqual([
      { in: 0, out: 12 * 16 * 4 },
      { in: 12 * 16 * 4, out: 0 },
    ]);
    for (const { memory, parameterCount } of stages) {
      expect(memory.full.stateBytes).toBe(12 * parameterCount);
      expect(memory.full.runBytes).toBeGreaterThan(8 * parameterCount);
      expect(memory.full.peakBytes).toBeGreaterThan(memory.full.stateBytes + memory.full.runBytes);
    }
  });

  it("counts gradients and moments in the bytes that they are kept in", () => {
    const model = languageModel("llama-tied");
    const bytes = { ...FLOAT32_ADAMW, gradient: 2, optimizer: 2 };
    const [small] = cutGraph(model, { stages: 1, nodes: nodes(1), bytes });
    const [usual] = cut(model, 1);
    expect((usual?.memory.full.peakBytes ?? 0) - (small?.memory.full.peakBytes ?? 0)).toBe(
      12 * (usual?.parameterCount ?? 0),
    );
  });
});

describe("a parameter that is read in several places", () => {
  const WIDTH = 4;
  /** Three layers with one matrix, which each of them turns round: what depends on it alone is in all stages. */
  function layers(arithmetic: "exact" | "fast"): Cuttable {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("input", [2, WIDTH]);
    const w = graph.input("w", [WIDTH, WIDTH]);
    let y = x;
    for (let i = 0; i < 3; i++) y = y.matmul(w.transpose(1, 0)).tanh();
    return {
      graph,
      inputs: [{ name: "input", tensor: x }],
      outputs: [{ name: "loss", tensor: y.sumTo([]) }],
      parameters: [{ name: "w", shape: w.shape, size: WIDTH * WIDTH, decay: true, tensor: w }],
      arithmetic,
    };
  }

  const random = randomStream("several places");
  const drawn = (size: number): number[] => Array.from({ length: size }, () => random() - 0.5);
  const [input, w] = [drawn(2 * WIDTH), drawn(WIDTH * WIDTH)];

  /** The gradients of the stages' places, from the last to the first. */
  async function gradients(stages: readonly Stage[]): Promise<Float32Array[]> {
    const ofShape = (names: readonly string[], ...shape: number[]) =>
      names.map((name) => ({ name, tensor: new GraphBuilder(OPERATORS).input(name, shape) }));
    const typesOf = ({ uses }: Stage) =>
      inputTypes([
        ...ofShape(["input", "x", "dy"], 2, WIDTH),
        ...ofShape(["w", ...uses.map(({ name }) => name)], WIDTH, WIDTH),
      ]);
    const arrived: Feeds[] = [];
    let x: ArrayLike<number> = [];
    for (const stage of stages) {
      const feeds = { input, x, w, ...Object.fromEntries(stage.uses.map(({ name }) => [name, w])) };
      arrived.push(feeds);
      x = (await run(stage.forward(), typesOf(stage), feeds))["y"] ?? [];
    }
    const found: Float32Array[] = [];
    let dy: ArrayLike<number> = [];
    for (const [i, stage] of [...stages.entries()].toReversed()) {
      const results = await run(stage.backward(), typesOf(stage), { ...arrived[i], dy });
      dy = results["dx"] ?? [];
      for (const name of ["w", ...stage.uses.map(({ name }) => name)])
        found.push(results[`d_${name}`] ?? new Float32Array());
    }
    return found;
  }

  it("has in the class exact a gradient of each place, the same bits wherever the model is cut", async () => {
    const model = layers("exact");
    const [whole] = cut(model, 1);
    expect(whole?.uses.map(({ name }) => name)).toEqual(["w#1", "w#0"]);
    expect(whole?.backward({ accumulate: true }).inputs).toEqual(
      expect.arrayContaining(["w", "w#1", "w#0", "g_w", "g_w#1", "g_w#0"]),
    );
    const alone = await gradients(cut(model, 1));
    expect(alone).toHaveLength(3);
    for (const count of [2, 3]) expect(await gradients(cut(model, count))).toEqual(alone);
  });

  it("has the sums of the places in what a stage's memory is said to be", () => {
    const bytes = (arithmetic: "exact" | "fast", gradient: number): number =>
      cutGraph(layers(arithmetic), { stages: 1, nodes: nodes(1), bytes: { ...FLOAT32_ADAMW, gradient } })[0]
        ?.memory.full.peakBytes ?? 0;
    // So many gradients are kept: one, or one of each place.
    expect(bytes("fast", 9) - bytes("fast", 8)).toBe(WIDTH * WIDTH);
    expect(bytes("exact", 9) - bytes("exact", 8)).toBe(3 * WIDTH * WIDTH);
  });

  it("has one sum in the class fast", () => {
    expect(cut(layers("fast"), 1)[0]?.uses).toEqual([]);
  });
});

describe("the cost of a graph", () => {
  it("counts a multiply-add as 2", () => {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("x", [3, 4, 5]);
    x.matmul(graph.input("w", [5, 7]))
      .rows()
      .gemm(graph.input("v", [9, 7]), { transB: true });
    expect(graph.nodes.map(productFlops)).toEqual([2 * 12 * 5 * 7, 0, 2 * 12 * 7 * 9]);
  });

  it("frees a result after its last reader, and takes no memory for another view of it", () => {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("x", [100]);
    const y = x.exp().reshape([10, 10]).exp().exp().exp();
    expect(bytesOf(y)).toBe(400);
    expect(peakBytes(graph, [y])).toBe(800);
    expect(peakBytes(graph, [y, graph.nodes[0]?.outputs[0] ?? y])).toBe(1200);
  });
});
