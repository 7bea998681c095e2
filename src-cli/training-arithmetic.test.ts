import { expect, it } from "vitest";
import { GraphBuilder } from "../src-engine/graph-builder.ts";
import { OPERATORS } from "../src-engine/operators.ts";
import type { TrainableModel } from "../src-engine/trainable-model.ts";
import { trainingArithmetic } from "./training-arithmetic.ts";

/** The mean of the operator over a parameter of two numbers. */
function modelOf(op: string): TrainableModel {
  const graph = new GraphBuilder(OPERATORS, "float32");
  const tensor = graph.input("weight", [2], "float32");
  const loss = graph.apply(op, [tensor]).sum(0);
  return {
    graph,
    inputs: [],
    outputs: [{ name: "loss", tensor: loss }],
    parameters: [{ name: "weight", shape: [2], size: 2, decay: false, tensor }],
    initial: () => Float32Array.of(0.25, 0.5),
  } as unknown as TrainableModel;
}

it("a model is trained in the class that is wanted, or in fast where that is allowed, and why is said", () => {
  expect(trainingArithmetic(modelOf("Sin"), 1)).toEqual({ arithmetic: "fast", notes: [] });
  for (const wanted of ["exact", "exact-if-possible"] as const)
    expect(trainingArithmetic(modelOf("Sin"), 1, wanted)).toEqual({ arithmetic: "exact", notes: [] });
  expect(() => trainingArithmetic(modelOf("Asin"), 1, "exact")).toThrow(
    expect.objectContaining({ code: "not-exact", message: expect.stringContaining("1 × Asin") }),
  );
  const { arithmetic, notes } = trainingArithmetic(modelOf("Asin"), 1, "exact-if-possible");
  expect(arithmetic).toBe("fast");
  expect(notes.join()).toContain("1 × Asin");
  expect(trainingArithmetic(modelOf("Asin"), 1, "fast").notes).toEqual([]);
});
