import { create, toBinary } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { differentiate } from "../differentiate.ts";
import { encodeModel } from "../model-file.ts";
import { ModelProtoSchema } from "../onnx_pb.js";
import { inputTypes, run } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";

type Row = readonly [opType: string, input: readonly string[], output: string];

/** From x [2, 2] to y; `axes` is the last one. */
function fileOf(rows: readonly Row[]): Uint8Array {
  const dim = [2n, 2n].map((size) => ({ value: { case: "dimValue" as const, value: size } }));
  const type = { value: { case: "tensorType" as const, value: { elemType: 1, shape: { dim } } } };
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 17n }],
      graph: {
        name: "roots",
        input: [{ name: "x", type }],
        output: [{ name: "y" }],
        initializer: [
          { name: "axes", dataType: 7, dims: [1n], int64Data: [-1n] },
          { name: "half", dataType: 1, dims: [], floatData: [0.5] },
          { name: "epsilon", dataType: 1, dims: [], floatData: [1e-5] },
        ],
        node: rows.map(([opType, input, output]) => ({
          opType,
          name: output,
          input: [...input],
          output: [output],
        })),
      },
    }),
  );
}

const SUM: readonly Row[] = [
  ["Mul", ["x", "x"], "squares"],
  ["ReduceSum", ["squares", "axes"], "sums"],
];
const [ROOT, POWER]: readonly (readonly Row[])[] = [
  [["Sqrt", ["sums"], "y"]],
  [["Pow", ["sums", "half"], "y"]],
];

/** PyTorch's gradient of `x.norm(dim=-1).sum()`, where a row is 0. */
it.each([
  ["Sqrt", ROOT],
  ["Pow of a half", POWER],
])("a norm that is written with %s has the slope 0 at a row of zeros", async (_, rows = []) => {
  const { graph, inputs, outputs } = importModel(fileOf([...SUM, ...rows]));
  const [y, x] = [outputs[0]?.tensor, inputs[0]?.tensor];
  if (x === undefined || y === undefined) throw new Error("nothing to run");
  const [slope = x] = differentiate(graph, new Map([[y, graph.full(y.shape, 1)]]), [x]);
  const bytes = encodeModel(graph, { y, slope });
  const found = await run({ bytes, inputs: ["x"] }, inputTypes(inputs), { x: [0, 0, 3, 4] });
  expect([...(found["y"] ?? [])]).toEqual([0, 5]);
  for (const [i, value] of [0, 0, 0.6, 0.8].entries()) expect(found["slope"]?.[i]).toBeCloseTo(value, 6);
});

it("a root of what is above 0 anyway, as in norms, is taken as it is", () => {
  const guarded: readonly Row[] = [
    ["Add", ["sums", "epsilon"], "above"],
    ["Sqrt", ["above"], "y"],
  ];
  const operators = (rows: readonly Row[]): string[] =>
    importModel(fileOf([...SUM, ...rows])).graph.nodes.map(({ op }) => op);
  expect(operators(guarded)).toEqual(["Mul", "ReduceSum", "Add", "Sqrt"]);
  expect(operators([["Sqrt", ["sums"], "y"]])).toContain("Where");
});
