import { describe, expect, it } from "vitest";
import { differentiate } from "./differentiate.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { OPERATORS } from "./operators.ts";
import { encodeModel } from "./model-file.ts";
import { compile } from "./run.test-support.ts";
import type { Tensor } from "./tensor.ts";

const scalar = (value: number) => ({ shape: [], data: [value] });

async function slope(build: (x: Tensor) => Tensor, at: number): Promise<number> {
  const graph = new GraphBuilder(OPERATORS, "float64");
  const x = graph.input("x", []);
  const y = graph.within("f", () => build(x));
  const [dx] = differentiate(graph, new Map([[y, graph.full([], 1)]]), [x]) as [Tensor];
  const run = await compile({ bytes: encodeModel(graph, { dx }) });
  return (await run({ x: scalar(at) }))["dx"]?.[0] ?? Number.NaN;
}

describe("differentiate", () => {
  it("adds up what every use of a value contributes", async () => {
    expect(await slope((x) => x.mul(x).mul(x).add(x), 2)).toBeCloseTo(13, 12);
  });

  it("counts a result once, whether it is written as a composite, in primitives, or both", async () => {
    const exact = await slope((x) => x.mul(x.sigmoid()).mul(x), 0.7);
    expect(await slope((x) => x.graph.apply("SwiGLU", [x, x]), 0.7)).toBeCloseTo(exact, 12);
    const both = (x: Tensor): Tensor => x.graph.apply("SwiGLU", [x, x]).add(x.mul(x.sigmoid()).mul(x));
    expect(await slope(both, 0.7)).toBeCloseTo(2 * exact, 12);
  });

  it("gives 0 to what the result does not depend on", async () => {
    expect(await slope((x) => x.graph.full([], 3).exp(), 1)).toBe(0);
  });

  it("makes no node for a gradient that nobody asked for", () => {
    const graph = new GraphBuilder(OPERATORS);
    const [x, frozen] = [graph.input("x", [4, 4]), graph.input("frozen", [4, 4])];
    const y = x.matmul(frozen);
    differentiate(graph, new Map([[y, graph.full([4, 4], 1)]]), [x]);
    expect(graph.nodes.map(({ op }) => op)).toEqual(["MatMul", "Gemm"]);
  });

  it("refuses operators without a rule by their names, with every node that is in the way", () => {
    const graph = new GraphBuilder(OPERATORS);
    const [x, free] = [graph.input("x", [2]), graph.input("free", [2])];
    const scattered = (from: Tensor, reduction: string): Tensor =>
      graph.apply("ScatterElements", [from, graph.indices([0]), from.slice(0, 0, 1)], { reduction });
    let y = x;
    for (let layer = 0; layer < 7; layer++)
      y = graph.within(`layer.${layer}`, () => scattered(y.exp(), "max"));
    const compared = graph.within("head", () => x.greater(0));
    const harmless = graph.within("frozen", () => scattered(free, "mul"));
    const one = graph.full([2], 1);
    const seeds = new Map([y.add(scattered(y, "add")).add(harmless), compared].map((each) => [each, one]));
    expect(() => differentiate(graph, seeds, [x])).toThrow(
      expect.objectContaining({
        code: "not-differentiable",
        message: expect.stringMatching(
          /operator ScatterElements \(layer\.0\/ScatterElements_\d+, layer\.1\/.*, layer\.6\/ScatterElements_\d+\); Greater \(head\/Greater_\d+\),/,
        ),
      }),
    );
    expect(() => differentiate(graph, seeds, [x])).not.toThrow(/frozen/);
  });
});

describe("the graph builder", () => {
  it("makes equal nodes and constants once", () => {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("x", [3]);
    expect(x.mul(2).exp()).toBe(x.mul(2).exp());
    expect(graph.nodes).toHaveLength(2);
    expect(graph.constants).toHaveLength(1);
  });

  it("refuses shapes, inputs and attributes that do not fit", () => {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("x", [2, 3]);
    expect(() => x.matmul(x)).toThrow(expect.objectContaining({ code: "bad-shape" }));
    expect(() => x.add(graph.input("y", [4]))).toThrow(expect.objectContaining({ code: "bad-shape" }));
    expect(() => graph.apply("Exp", [x, x])).toThrow(expect.objectContaining({ code: "bad-node" }));
    expect(() => graph.apply("Exp", [x], { axis: 1 })).toThrow(expect.objectContaining({ code: "bad-node" }));
  });
});

describe("the model file", () => {
  it("can give an input, or one result under two names, as outputs", async () => {
    const graph = new GraphBuilder(OPERATORS, "float64");
    const x = graph.input("x", []);
    const y = x.exp();
    const run = await compile({ bytes: encodeModel(graph, { same: x, first: y, second: y }) });
    const found = await run({ x: scalar(0) });
    expect(Object.fromEntries(Object.entries(found).map(([name, data]) => [name, data[0]]))).toEqual({
      same: 0,
      first: 1,
      second: 1,
    });
  });
});
