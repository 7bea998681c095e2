import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { encodeModel } from "../model-file.ts";
import { inputTypes, run } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";
import { type Case, fileOf, floats, list } from "./node-file.test-support.ts";

const size = fc.integer({ min: 1, max: 4 });
const shape = fc.array(size, { minLength: 1, maxLength: 5 });
const numbers = (least: number, most: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: least, max: most }), { minLength: 1, maxLength: 4 });
const often = <T>(usual: T, drawn: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: drawn });
/** Attributes of which some are left out. */
const some = <T>(all: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> =>
  fc.record(all, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;
const windowed = {
  kernel_shape: often([2, 2], numbers(0, 4)),
  strides: often([1, 2], numbers(0, 3)),
  dilations: often([1, 1], numbers(0, 3)),
  pads: often([1, 0, 0, 1], numbers(-1, 3)),
  auto_pad: often("NOTSET", fc.constantFrom("VALID", "SAME_UPPER", "SAME_LOWER", "ELSE")),
};
const image = often([1, 2, 5, 4], shape);

/** Nodes of which many state what does not fit together. */
const NODES: Readonly<Record<string, fc.Arbitrary<Case>>> = {
  Conv: fc
    .tuple(
      image,
      often([4, 2, 2, 2], shape),
      often([4], shape),
      some({ ...windowed, group: fc.constantFrom(1, 1, 2, 0, -1, 3) }),
    )
    .map(([x, w, bias, attributes]) => ({
      op: "Conv",
      inputs: [floats(...x), floats(...w), floats(...bias)],
      attributes,
    })),
  ConvTranspose: fc
    .tuple(
      image,
      often([2, 3, 2, 2], shape),
      some({
        ...windowed,
        group: fc.constantFrom(1, 1, 2, 0, 3),
        output_padding: often([0, 1], numbers(-1, 3)),
      }),
    )
    .map(([x, w, attributes]) => ({ op: "ConvTranspose", inputs: [floats(...x), floats(...w)], attributes })),
  ...Object.fromEntries(
    ["MaxPool", "AveragePool"].map((op) => [
      op,
      fc
        .tuple(image, some({ ...windowed, ceil_mode: fc.nat(1) }))
        .map(([x, attributes]) => ({ op, inputs: [floats(...x)], attributes, opset: 19 })),
    ]),
  ),
  Trilu: fc.tuple(shape, often([1], numbers(-9, 9)), fc.nat(1)).map(([x, k, upper]) => ({
    op: "Trilu",
    inputs: [floats(...x), list(...k)],
    attributes: { upper },
  })),
  Gemm: fc
    .tuple(
      often([3, 2], shape),
      often([2, 4], shape),
      often([4], shape),
      some({ transA: fc.nat(1), transB: fc.nat(1) }),
    )
    .map(([a, b, c, attributes]) => ({
      op: "Gemm",
      inputs: [floats(...a), floats(...b), floats(...c)],
      attributes,
    })),
  Pad: fc
    .tuple(
      shape,
      often([0, 1, 1, 0], numbers(-2, 4)),
      fc.constantFrom("constant", "edge", "reflect", "wrap", "else"),
    )
    .map(([x, pads, mode]) => ({
      op: "Pad",
      inputs: [floats(...x), list(...pads)],
      attributes: { mode },
      opset: 19,
    })),
};

async function isRefused(node: Case): Promise<boolean> {
  try {
    importModel(fileOf(node, 1));
    return false;
  } catch (error) {
    if (error instanceof Failure && error.code !== "import-failed") return true;
    throw error;
  }
}

describe("what a file states wrongly", () => {
  it.each(Object.entries(NODES))(
    "%s: whatever is imported, the runtime takes from the file too, and computes the same",
    async (_, drawn) => {
      let taken = 0;
      await fc.assert(
        fc.asyncProperty(drawn, async (node) => {
          if (await isRefused(node)) return;
          taken++;
          const bytes = fileOf(node, 1);
          const { graph, inputs, outputs } = importModel(bytes);
          const own = encodeModel(
            graph,
            Object.fromEntries(outputs.map(({ name, tensor }) => [name, tensor])),
          );
          const feeds = { input0: node.inputs[0]?.values ?? [], extra: [0.25] };
          const names = { bytes: own, inputs: inputs.map(({ name }) => name) };
          const [found, expected] = [
            await run(names, inputTypes(inputs), feeds),
            await run({ ...names, bytes }, inputTypes(inputs), feeds),
          ];
          for (const [i, value] of (expected["sum_y0"] ?? []).entries())
            expect(found["sum_y0"]?.[i]).toBeCloseTo(value, 4);
          expect(found["sum_y0"]?.length).toBe(expected["sum_y0"]?.length);
        }),
        { seed: 11, numRuns: 300 },
      );
      expect(taken).toBeGreaterThan(20);
    },
  );
});
