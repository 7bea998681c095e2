import { describe, expect, it } from "vitest";
import { GraphBuilder } from "./graph-builder.ts";
import { OPERATORS } from "./operators.ts";

describe("constants of a graph", () => {
  it("of equal type, shape and numbers are one tensor", () => {
    const graph = new GraphBuilder(OPERATORS);
    const values = Array.from({ length: 1000 }, (_, i) => i / 7);
    const first = graph.constant("float32", [10, 100], values);
    expect(graph.constant("float32", [10, 100], [...values])).toBe(first);
    expect(graph.constant("float32", [1000], values)).not.toBe(first);
    expect(graph.constant("float64", [10, 100], values)).not.toBe(first);
    expect(graph.constant("float32", [10, 100], values.with(999, 0))).not.toBe(first);
    expect(graph.constants.length).toBe(4);
  });

  it("keep the sign of a zero, and know that a NaN is one", () => {
    const graph = new GraphBuilder(OPERATORS);
    expect(graph.constant("float32", [], [0])).not.toBe(graph.constant("float32", [], [-0]));
    expect(graph.constant("float32", [], [Number.NaN])).toBe(graph.constant("float32", [], [Number.NaN]));
  });

  it("are told apart where their digests happen to be equal", () => {
    const graph = new GraphBuilder(OPERATORS);
    const [first, second] = [
      [13_380, 40_141],
      [111_001, 333_004],
    ];
    expect(graph.indices(first ?? []).value).toEqual(first);
    expect(graph.indices(second ?? []).value).toEqual(second);
    expect(graph.indices(first ?? [])).toBe(graph.indices(first ?? []));
  });

  it("of one number everywhere are not written out when they are large", () => {
    const graph = new GraphBuilder(OPERATORS);
    expect(graph.full([300, 300], 0.5).shape).toEqual([300, 300]);
    expect(graph.constants.map(({ value }) => value?.length)).toEqual([1, 2]);
    expect(graph.full([4, 4], 0.5).value?.length).toBe(16);
  });
});
