import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  type AttributeProto,
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
} from "../onnx_pb.js";
import { closeGraph } from "../graph.ts";
import { inputTypes, run } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";
import { withCrossEntropy } from "./loss.ts";

const node = (opType: string, input: string[], output: string, attribute: NodeProto["attribute"] = []) =>
  create(NodeProtoSchema, { opType, name: output, input, output: [output], attribute });

const attribute = (name: string, i: number): AttributeProto =>
  create(AttributeProtoSchema, { name, type: Kind.INT, i: BigInt(i) });

/** From x [2, 3] to scores, by the nodes. */
function model(nodes: NodeProto[]) {
  const dim = [2n, 3n].map((size) => ({ value: { case: "dimValue" as const, value: size } }));
  const type = { value: { case: "tensorType" as const, value: { elemType: 1, shape: { dim } } } };
  const file = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [{ domain: "", version: 17n }],
    graph: {
      name: "case",
      input: [{ name: "x", type }],
      output: [{ name: "y", type }],
      node: nodes,
      initializer: Object.entries({ shape: [2n, 3n], deep: [1n, 3n, 2n], flat: [3n, 2n] }).map(
        ([name, int64Data]) => ({ name, dataType: 7, dims: [BigInt(int64Data.length)], int64Data }),
      ),
    },
  });
  return withCrossEntropy(importModel(toBinary(ModelProtoSchema, file)));
}

async function lossOf({ graph, inputs, outputs }: ReturnType<typeof model>): Promise<number> {
  const closed = closeGraph(graph, Object.fromEntries(outputs.map(({ name, tensor }) => [name, tensor])));
  const found = await run(closed, inputTypes(inputs), { x: [1, 2, 3, 0, 0, 5], targets: [2, 0] });
  return found["loss"]?.[0] ?? Number.NaN;
}

const PLAIN = [node("Neg", ["x"], "n"), node("Neg", ["n"], "y")];

describe("the loss of scores", () => {
  it.each([
    ["a Softmax", [node("Neg", ["x"], "n"), node("Neg", ["n"], "s"), node("Softmax", ["s"], "y")]],
    [
      "a Softmax in another form",
      [
        node("Neg", ["x"], "n"),
        node("Neg", ["n"], "s"),
        node("Softmax", ["s"], "p"),
        node("Identity", ["p"], "i"),
        node("Reshape", ["i", "shape"], "y"),
      ],
    ],
    [
      "a Softmax that a Cast follows",
      [
        node("Neg", ["x"], "n"),
        node("Neg", ["n"], "s"),
        node("Softmax", ["s"], "p"),
        node("Cast", ["p"], "half", [attribute("to", 10)]),
        node("Cast", ["half"], "y", [attribute("to", 1)]),
      ],
    ],
    [
      "a Softmax over another axis, which is turned to the end",
      [
        node("Neg", ["x"], "n"),
        node("Neg", ["n"], "s"),
        node("Transpose", ["s"], "turned"),
        node("Softmax", ["turned"], "p", [attribute("axis", 0)]),
        node("Transpose", ["p"], "y"),
      ],
    ],
    [
      "a Softmax over the middle of three axes",
      [
        node("Neg", ["x"], "n"),
        node("Neg", ["n"], "s"),
        node("Transpose", ["s"], "turned"),
        node("Reshape", ["turned", "deep"], "classes"),
        node("Softmax", ["classes"], "p", [attribute("axis", 1)]),
        node("Reshape", ["p", "flat"], "columns"),
        node("Transpose", ["columns"], "y"),
      ],
    ],
    ["a LogSoftmax", [node("Neg", ["x"], "n"), node("Neg", ["n"], "s"), node("LogSoftmax", ["s"], "y")]],
  ])("that end in %s is that of the scores before it", async (_, nodes) => {
    expect(await lossOf(model(nodes))).toBeCloseTo(await lossOf(model(PLAIN)), 6);
  });

  it("is of the probabilities themselves where a Softmax is over another axis than the tokens", async () => {
    const across = [
      node("Neg", ["x"], "n"),
      node("Neg", ["n"], "s"),
      node("Softmax", ["s"], "y", [attribute("axis", 0)]),
    ];
    expect(model(across).notes).toEqual([]);
    expect(Math.abs((await lossOf(model(across))) - (await lossOf(model(PLAIN))))).toBeGreaterThan(0.1);
  });

  it("says that a Softmax was taken off", () => {
    expect(model(PLAIN).notes).toEqual([]);
    const { notes } = model([node("Neg", ["x"], "n"), node("Softmax", ["n"], "y")]);
    expect(notes).toEqual([expect.stringContaining('"y" ends in a Softmax')]);
  });
});
