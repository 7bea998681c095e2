import { describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { importModel } from "./import-model.ts";
import { type Case, fileOf, ints, list, type Operand, ratios } from "./node-file.test-support.ts";

/** An input of the model: a file of a few bytes may give it any size. */
const fed = (type: Operand["type"], ...shape: number[]): Operand => ({ type, shape, values: [] });

/** Nodes that would be written as lists of hundreds of millions of positions. */
const HUGE: Readonly<Record<string, { node: Case; fed: number }>> = {
  "classes of a OneHot": {
    node: { op: "OneHot", inputs: [fed("int64", 1), ints([1], 2 ** 30), ratios(0, 1)] },
    fed: 1,
  },
  "parts of a stack of coordinates": {
    node: {
      op: "GatherND",
      inputs: [fed("float32", 2 ** 26, 2), fed("int64", 2 ** 26, 1)],
      attributes: { batch_dims: 1 },
    },
    fed: 2,
  },
  "channels of an LRN": {
    node: { op: "LRN", inputs: [fed("float32", 1, 2 ** 26, 1)], attributes: { size: 3 } },
    fed: 1,
  },
  "neighbours in an LRN": {
    node: { op: "LRN", inputs: [fed("float32", 1, 2 ** 15, 1)], attributes: { size: 2 ** 30 + 1 } },
    fed: 1,
  },
  "every second position": {
    node: {
      op: "Slice",
      inputs: [fed("float32", 2 ** 28), list(0), list(2 ** 28), list(0), list(2)],
    },
    fed: 1,
  },
};

function refusal({ node, fed }: { node: Case; fed: number }): string {
  try {
    importModel(fileOf(node, fed));
    return "imported";
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
}

describe("a small file that speaks of a huge tensor", () => {
  it.each(Object.entries(HUGE))("is refused before memory is taken for %s", (_, given) => {
    const before = process.memoryUsage().rss;
    expect(refusal(given)).toBe("model-too-large");
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });
});

const image = fed("float32", 1, 4, 2, 2);
const places = ints([2, 2], 0, 1, 1, 0);

/** Nodes that ONNX Runtime refuses too. */
const WRONG: Readonly<Record<string, Case>> = {
  "a Softmax along an axis that is not there": {
    op: "Softmax",
    inputs: [fed("float32", 3)],
    attributes: { axis: 2 },
  },
  "a CumSum along an axis that is not there": { op: "CumSum", inputs: [fed("float32", 3), ints([], -6)] },
  "a Tile with too many counts": { op: "Tile", inputs: [fed("float32"), list(2, 3)] },
  "elements of a tensor of another rank": { op: "GatherElements", inputs: [fed("float32", 2, 3, 4), places] },
  "elements along an axis that is not there": {
    op: "GatherElements",
    inputs: [fed("float32", 2, 3), places],
    attributes: { axis: -5 },
  },
  "an element beyond its axis": {
    op: "GatherElements",
    inputs: [fed("float32", 2, 3), ints([1, 1], 2)],
  },
  "fewer updates than places": {
    op: "ScatterElements",
    inputs: [fed("float32", 2, 3), places, ratios(1)],
  },
  "a Mod of fractions by the sign of the divisor": { op: "Mod", inputs: [fed("float32", 3), ratios(2)] },
  "blocks without a size": { op: "DepthToSpace", inputs: [image], attributes: { mode: "CRD" } },
  "blocks in an unknown order": {
    op: "DepthToSpace",
    inputs: [image],
    attributes: { mode: "ELSE", blocksize: 2 },
  },
  "an LRN without a size": { op: "LRN", inputs: [image] },
  "an LRN by a number that is none": {
    op: "LRN",
    inputs: [image],
    attributes: { size: 3, alpha: { float: Number.NaN } },
  },
  "a OneHot of two numbers of classes": {
    op: "OneHot",
    inputs: [fed("int64", 2), list(3, 3), ratios(0, 1)],
  },
};

describe("a node that states what does not fit", () => {
  it.each(Object.entries(WRONG))("is refused in a sentence: %s", (_, node) => {
    expect(refusal({ node, fed: 1 })).toMatch(/^bad-(node|shape)$/);
  });
});
