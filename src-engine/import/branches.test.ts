import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { encodeModel } from "../model-file.ts";
import {
  AttributeProto_AttributeType as Kind,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  ValueInfoProtoSchema,
} from "../onnx_pb.js";
import { inputTypes, run } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";
import { decodeModel } from "./model-bytes.ts";

type Node = MessageInitShape<typeof NodeProtoSchema>;
type Stored = MessageInitShape<typeof TensorProtoSchema>;

const weights = (name: string, ...floatData: number[]): Stored => ({
  name,
  dataType: 1,
  dims: [BigInt(floatData.length)],
  floatData,
});

/** Both branches call what they store and compute alike. */
function branch(op: string, value: number, inner: Node[] = []) {
  const node = [
    ...inner,
    { opType: op, input: [inner.length > 0 ? "inner" : "input", "own"], output: ["result"] },
  ];
  const stored = weights("own", value, value + 1);
  return { name: op, node, initializer: [stored], output: [{ name: "result" }] };
}

function choice(condition: string, yes: object, no: object, output = "chosen"): Node {
  const attribute = Object.entries({ then_branch: yes, else_branch: no }).map(([name, graph]) => ({
    name,
    type: Kind.GRAPH,
    g: create(GraphProtoSchema, graph),
  }));
  return { opType: "If", name: `if_${output}`, input: [condition], output: [output], attribute };
}

/** y = chosen + bias, of an input of free length; `isLong`: whether it has more than 4 elements. */
function fileOf(node: Node[], condition: Node[] = IS_LONG): Uint8Array {
  const dim = { value: { case: "dimParam" as const, value: "length" } };
  const type = {
    value: {
      case: "tensorType" as const,
      value: { elemType: 1, shape: { dim: [dim, { value: { case: "dimValue" as const, value: 2n } }] } },
    },
  };
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 17n }],
      graph: {
        name: "choice",
        input: [{ name: "input", type }],
        output: [{ name: "y", type }],
        initializer: [weights("bias", 1, 2), { name: "four", dataType: 7, dims: [], int64Data: [4n] }],
        node: [...condition, ...node, { opType: "Add", input: ["chosen", "bias"], output: ["y"] }],
      },
    }),
  );
}

const IS_LONG: Node[] = [
  { opType: "Size", input: ["input"], output: ["size"] },
  { opType: "Greater", input: ["size", "four"], output: ["isLong"] },
];

async function both(bytes: Uint8Array, length: number): Promise<[number[], number[]]> {
  const { graph, inputs, outputs, parameters } = importModel(bytes, { sizes: { length } });
  const own = encodeModel(graph, Object.fromEntries(outputs.map(({ name, tensor }) => [name, tensor])));
  const input = Array.from({ length: 2 * length }, (_, i) => i / 2);
  const feeds = { input, ...Object.fromEntries(parameters.map(({ name, read }) => [name, read()])) };
  const types = inputTypes([...inputs, ...parameters]);
  const found = await run({ bytes: own, inputs: [...graph.inputs.values()] }, types, feeds);
  const expected = await run({ bytes, inputs: ["input"] }, types, feeds);
  return [[...(found["y"] ?? [])], [...(expected["y"] ?? [])]];
}

describe("an If", () => {
  it.each([1, 5])("that shapes decide becomes the branch that is taken, with %i rows", async (length) => {
    const [found, expected] = await both(
      fileOf([choice("isLong", branch("Mul", 3), branch("Add", 7))]),
      length,
    );
    expect(found).toEqual(expected);
  });

  it("inside of a branch of an If is decided too", async () => {
    const inner = choice("isLong", branch("Sub", 2), branch("Mul", 5), "inner");
    const file = fileOf([choice("isLong", branch("Mul", 3, [inner]), branch("Add", 7, [inner]))]);
    for (const length of [1, 5]) {
      const [found, expected] = await both(file, length);
      expect(found).toEqual(expected);
    }
  });

  it("trains what the taken branch stores, under a name of its own", () => {
    const { parameters } = importModel(fileOf([choice("isLong", branch("Mul", 3), branch("Add", 7))]), {
      sizes: { length: 5 },
    });
    expect(parameters.map(({ name }) => name).sort()).toEqual(["bias", "chosen/then/own"]);
  });

  it("that data decide is refused by name", () => {
    const condition: Node[] = [
      {
        opType: "ReduceMax",
        input: ["input"],
        output: ["most"],
        attribute: [{ name: "keepdims", type: Kind.INT, i: 0n }],
      },
      {
        opType: "Cast",
        input: ["most"],
        output: ["isLong"],
        attribute: [{ name: "to", type: Kind.INT, i: 9n }],
      },
    ];
    expect(() =>
      importModel(fileOf([choice("isLong", branch("Mul", 3), branch("Add", 7))], condition), {
        sizes: { length: 1 },
      }),
    ).toThrow(
      expect.objectContaining({ code: "unsupported-operator", message: expect.stringMatching(/if_chosen/) }),
    );
  });

  it("is refused for what its taken branch holds, not for the other one", () => {
    const file = fileOf([choice("isLong", branch("Mul", 3), branch("Unique", 7))]);
    expect(importModel(file, { sizes: { length: 5 } }).outputs.length).toBe(1);
    expect(() => importModel(file, { sizes: { length: 1 } })).toThrow(
      expect.objectContaining({ code: "unsupported-operator", message: expect.stringMatching(/Unique/) }),
    );
  });

  it("nested without end is refused", () => {
    let graph: object = branch("Mul", 1);
    for (let depth = 0; depth < 12; depth++)
      graph = { ...branch("Mul", 1, [choice("isLong", graph, graph, "inner")]) };
    expect(() => importModel(fileOf([choice("isLong", graph, graph)]), { sizes: { length: 1 } })).toThrow(
      expect.objectContaining({ code: "model-too-large" }),
    );
  });
});

describe("operators without a rule", () => {
  it("are refused at once, each with all its nodes and the modules that they come from", () => {
    const scopes = (module: string) => [
      { key: "pkg.torch.onnx.name_scopes", value: `['', 'encoder', '${module}', 'nms']` },
    ];
    const unknown = Array.from({ length: 8 }, (_, i) => ({
      opType: "NonMaxSuppression",
      name: `node_NMS_${i}`,
      input: ["input", "bias"],
      output: [`h${i}`],
      metadataProps: scopes(`encoder.layer.${i}`),
    }));
    const sum = { opType: "Sum", input: unknown.map(({ output }) => output[0] ?? ""), output: ["sum"] };
    const last = {
      opType: "GridSample",
      domain: "",
      name: "warp",
      input: ["sum", "input"],
      output: ["chosen"],
    };
    expect(() => importModel(fileOf([...unknown, sum, last], []), { sizes: { length: 1 } })).toThrow(
      expect.objectContaining({
        code: "unsupported-operator",
        message: expect.stringMatching(
          /NonMaxSuppression \(encoder\.layer\.0\/node_NMS_0, .*encoder\.layer\.7\/node_NMS_7\); GridSample \(warp\)/,
        ),
      }),
    );
  });

  it("do not matter to an output that is asked for and does not need them", () => {
    const { model, graph } = decodeModel(
      fileOf([
        { opType: "GridSample", name: "label", input: ["input", "input"], output: ["label"] },
        { opType: "Mul", input: ["input", "input"], output: ["chosen"] },
      ]),
    );
    graph.output.unshift(create(ValueInfoProtoSchema, { name: "label" }));
    const file = toBinary(ModelProtoSchema, model);
    const sizes = { length: 1 };
    expect(() => importModel(file, { sizes })).toThrow(/GridSample \(label\)/);
    expect(importModel(file, { sizes, outputs: ["y"] }).outputs.map(({ name }) => name)).toEqual(["y"]);
  });
});
