import { describe, expect, it } from "vitest";
import { differentiate } from "../differentiate.ts";
import { GraphBuilder } from "../graph-builder.ts";
import { encodeModel } from "../model-file.ts";
import { compile } from "../run.test-support.ts";

describe("a norm of zeros", () => {
  it.each(["ReduceL2", "LpNormalization"] as const)("%s: has a finite slope, as PyTorch's", async (op) => {
    const graph = new GraphBuilder();
    const x = graph.input("x", [2, 2]);
    const y =
      op === "ReduceL2" ? graph.apply(op, [x, graph.indices([1])], { keepdims: 0 }) : graph.apply(op, [x]);
    const [slope] = differentiate(graph, new Map([[y, graph.full(y.shape, 1)]]), [x]);
    if (slope === undefined) throw new Error("no gradient");
    const run = await compile({ bytes: encodeModel(graph, { slope }) });
    const found = await run({ x: { shape: [2, 2], data: [0, 0, 3, 4], type: "float32" } });
    const numbers = [...(found["slope"] ?? [])];
    expect(numbers.every(Number.isFinite)).toBe(true);
    if (op === "ReduceL2") {
      expect(numbers.slice(0, 2)).toEqual([0, 0]);
      expect(numbers[2]).toBeCloseTo(0.6, 6);
    }
  });
});
