import { describe, expect, it } from "vitest";
import { differentiate } from "../differentiate.ts";
import { GraphBuilder } from "../graph-builder.ts";
import { encodeModel } from "../model-file.ts";
import { OPERATORS } from "../operators.ts";
import { compile } from "../run.test-support.ts";

describe("a norm of zeros", () => {
  it.each([
    ["ReduceL2", { keepdims: 0 }, [0, 0, 0.6, 0.8]],
    // At zero nothing is divided, so the slope there is that of x itself.
    ["LpNormalization", {}, [1, 1, 0.032, -0.024]],
  ] as const)("%s: has a finite slope", async (op, attributes, expected) => {
    const graph = new GraphBuilder(OPERATORS);
    const x = graph.input("x", [2, 2]);
    const inputs = op === "ReduceL2" ? [x, graph.indices([1])] : [x];
    const y = graph.apply(op, inputs, attributes);
    const [slope] = differentiate(graph, new Map([[y, graph.full(y.shape, 1)]]), [x]);
    if (slope === undefined) throw new Error("no gradient");
    const run = await compile({ bytes: encodeModel(graph, { slope }) });
    const found = await run({ x: { shape: [2, 2], data: [0, 0, 3, 4], type: "float32" } });
    for (const [i, value] of expected.entries()) expect(found["slope"]?.[i]).toBeCloseTo(value, 5);
  });
});
