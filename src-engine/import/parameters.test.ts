import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { differentiate } from "../differentiate.ts";
import { encodeModel } from "../model-file.ts";
import { ModelProtoSchema, type NodeProtoSchema, TensorProtoSchema } from "../onnx_pb.js";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { inputTypes, run } from "./golden.test-support.ts";
import { type ImportOptions, importModel } from "./import-model.ts";

type Stored = MessageInitShape<typeof TensorProtoSchema>;
type Node = MessageInitShape<typeof NodeProtoSchema>;

const WEIGHTS = [1, -2, 3, 0.5];
const floats = (name: string, dims: number[], values: readonly number[]): Stored => ({
  name,
  dataType: 1,
  dims: dims.map(BigInt),
  floatData: [...values],
});
const matrix = (name: string): Stored => floats(name, [2, 2], WEIGHTS);
const vector = (name: string, values: readonly number[]): Stored => floats(name, [2], values);

/** What PyTorch's exporter writes of the module's inputs, by kind, and of what it computed from them. */
interface Said {
  readonly inputs?: Readonly<Record<string, "PARAMETER" | "BUFFER" | "CONSTANT_TENSOR">>;
  readonly folded?: Readonly<Record<string, readonly string[]>>;
}

/** A model of the input x [3, 2], whose output is y. */
function load(initializer: Stored[], node: Node[], options?: ImportOptions, said: Said = {}) {
  const info = (name: string, dims: number[]) => {
    const dim = dims.map((size) => ({ value: { case: "dimValue" as const, value: BigInt(size) } }));
    return { name, type: { value: { case: "tensorType" as const, value: { elemType: 1, shape: { dim } } } } };
  };
  const graph = {
    name: "case",
    input: [info("x", [3, 2])],
    output: [info("y", [3, 2])],
    initializer,
    node,
    metadataProps: [
      {
        key: "pkg.torch.export.ExportedProgram.graph_signature",
        value: Object.entries(said.inputs ?? {})
          .map(([target, kind]) => `p_${target.replaceAll(".", "_")}: ${kind} target='${target}'`)
          .join("\n"),
      },
    ],
    valueInfo: [
      ...Object.entries(said.inputs ?? {}).map(([name, kind]) => ({
        name,
        metadataProps: [{ key: "pkg.torch.export.graph_signature.InputSpec.kind", value: kind }],
      })),
      ...Object.entries(said.folded ?? {}).map(([name, from]) => ({
        name,
        metadataProps: [
          {
            key: "pkg.onnxscript.optimizer.folded_from",
            value: `[${from.map((each) => `'${each}'`).join()}]`,
          },
        ],
      })),
    ],
  };
  const file = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [{ domain: "", version: 17n }],
    graph,
  });
  return importModel(toBinary(ModelProtoSchema, file), options);
}

type Attributes = NonNullable<MessageInitShape<typeof NodeProtoSchema>["attribute"]>;
const node = (opType: string, input: string[], output: string, attribute: Attributes = []): Node => ({
  opType,
  name: output,
  input,
  output: [output],
  attribute,
});
const twice = (first: string, second: string): Node[] => [
  node("MatMul", ["x", first], "h"),
  node("MatMul", ["h", second], "y"),
];
const named = (rows: readonly { name: string }[]): string[] => rows.map(({ name }) => name);

describe("stored tensors", () => {
  it.each([
    ["read twice", [matrix("w")], twice("w", "w")],
    ["read through an Identity", [matrix("w")], [node("Identity", ["w"], "v"), ...twice("w", "v")]],
  ])("a matrix %s is one parameter, whose gradient is the sum", async (_, initializer, nodes) => {
    const model = load(initializer, nodes);
    expect(named(model.parameters)).toEqual(["w"]);
    const apart = load([matrix("a"), matrix("b")], twice("a", "b"));
    const tied = await gradientsOf(model);
    const untied = await gradientsOf(apart);
    expect(tied["d_w"]).toEqual(untied["d_a"]?.map((value, i) => value + (untied["d_b"]?.[i] ?? 0)));
  });

  it("a vector of different numbers that two nodes read is tied; one of equal numbers is not", () => {
    const nodes = [node("Identity", ["v"], "u"), node("Mul", ["x", "v"], "h"), node("Mul", ["h", "u"], "y")];
    expect(named(load([vector("v", [1, 2])], nodes).parameters)).toEqual(["v"]);
    const apart = load([vector("v", [1, 1])], nodes);
    expect(named(apart.parameters).sort()).toEqual(["u", "v"]);
    expect(apart.notes).toHaveLength(1);
  });

  it.each([
    ["float16", 10, [0x3c00, 0xc000, 0x4200, 0x3800]],
    ["bfloat16", 16, [0x3f80, 0xc000, 0x4040, 0x3f00]],
  ])("weights in %s are trained in float32", (_, dataType, bits) => {
    const raw = new Uint8Array(Uint16Array.from(bits).buffer);
    for (const data of [{ rawData: raw }, { int32Data: bits }]) {
      const { parameters } = load(
        [{ name: "w", dataType, dims: [2n, 2n], ...data }],
        [node("MatMul", ["x", "w"], "y")],
      );
      expect(parameters[0]?.tensor.type).toBe("float32");
      expect([...(parameters[0]?.read() ?? [])]).toEqual(WEIGHTS);
    }
  });

  it("running statistics are not trained, whatever they are called", () => {
    const rows = ["scale", "bias", "first", "second"].map((name, i) => vector(name, [1, i + 2]));
    const { parameters } = load(rows, [
      node("BatchNormalization", ["x", "scale", "bias", "first", "second"], "y"),
    ]);
    expect(named(parameters).sort()).toEqual(["bias", "scale"]);
  });

  it("a large table is fed, not written into every graph", () => {
    const count = 70_000;
    const table = floats(
      "cos",
      [1, count],
      Array.from({ length: count }, (_, i) => i),
    );
    const slice = { ...node("ReduceMean", ["cos"], "mean"), attribute: [] };
    const { tables, parameters } = load([table], [slice, node("Add", ["x", "mean"], "y")]);
    expect(named(tables)).toEqual(["cos"]);
    expect(parameters).toEqual([]);
  });

  it("the caller may say what is trained", () => {
    const rows = [matrix("layer.a"), matrix("layer.b")];
    const trained = (options: ImportOptions): string[] =>
      named(load(rows, twice("layer.a", "layer.b"), options).parameters);
    expect(trained({ freeze: ["*.a"] })).toEqual(["layer.b"]);
    expect(trained({ freeze: ["*"], train: ["layer.?"] })).toEqual(["layer.a", "layer.b"]);
    expect(() => trained({ freeze: ["layer.[ab]"] })).toThrow(
      expect.objectContaining({ code: "no-such-parameter" }),
    );
  });

  it.each([
    ["waves of positions", (row: number, column: number) => Math.sin(row / 10 ** (column / 4)), "positions"],
    ["slopes by distance", (row: number, column: number) => -row * 2 ** -column, "positions"],
    ["a mask", (row: number, column: number) => (column > row ? -65_504 : 0), "mask"],
    ["a bias with -inf", (row: number, column: number) => (column > row ? -Infinity : row / 8), "non-finite"],
  ])("%s: does not train, whatever it is called", (_, value, why) => {
    const numbers = Array.from({ length: 64 }, (_number, i) => value(Math.floor(i / 8), i % 8));
    const table = floats("val_7", [1, 8, 8], numbers);
    const attribute = [{ name: "keepdims", type: 2, i: 0n }];
    const most = { opType: "ReduceMax", name: "most", input: ["val_7"], output: ["most"], attribute };
    const { stored, parameters } = load(
      [table, matrix("w")],
      [most, node("Add", ["x", "most"], "h"), node("MatMul", ["h", "w"], "y")],
    );
    expect(stored.find(({ name }) => name === "val_7")).toMatchObject({ trains: false, why });
    expect(named(parameters)).toEqual(["w"]);
  });

  it("a learned token is no mask by its name alone", () => {
    const rows = [vector("mask_token", [0.5, -1]), matrix("w")];
    const model = load(rows, [node("Add", ["x", "mask_token"], "h"), node("MatMul", ["h", "w"], "y")]);
    expect(named(model.parameters)).toEqual(["mask_token", "w"]);
  });

  it("in half precision a mask is one too", () => {
    const bits = { dataType: 10, dims: [2n, 2n], int32Data: [0, 0xfbff, 0, 0] };
    const nodes = twice("shift", "w");
    expect(named(load([{ name: "shift", ...bits }, matrix("w")], nodes).parameters)).toEqual(["w"]);
  });

  it.each<[string, Node[], string]>([
    ["as it is", [], "c"],
    ["behind an Identity", [node("Identity", ["c"], "d")], "d"],
    ["behind a Transpose", [node("Transpose", ["c"], "d")], "d"],
    ["behind a Cast", [node("Cast", ["c"], "d", [{ name: "to", type: 2, i: 1n }])], "d"],
    ["behind a Reshape", [node("Reshape", ["c", "shape"], "d")], "d"],
    [
      "behind two of them",
      [node("Transpose", ["c"], "t"), node("Identity", ["t"], "u"), node("Transpose", ["u"], "d")],
      "d",
    ],
  ])("a weight in a Constant node trains, read %s", (_, between, read) => {
    const t = create(TensorProtoSchema, { dataType: 1, dims: [2n, 2n], floatData: WEIGHTS });
    const constant = node("Constant", [], "c", [{ name: "value", type: 4, t }]);
    const shape = { name: "shape", dataType: 7, dims: [2n], int64Data: [2n, 2n] };
    const { parameters } = load([shape], [constant, ...between, node("MatMul", ["x", read], "y")]);
    expect(named(parameters)).toEqual(["c"]);
    expect([...(parameters[0]?.read() ?? [])]).toEqual(WEIGHTS);
  });

  it("a list without a parameter says nothing: Keras has its own listed as constants", () => {
    const inputs = { lifted_tensor_0: "CONSTANT_TENSOR", lifted_tensor_1: "CONSTANT_TENSOR" } as const;
    const rows = [matrix("lifted_tensor_0"), matrix("lifted_tensor_1")];
    const nodes = twice("lifted_tensor_0", "lifted_tensor_1");
    expect(named(load(rows, nodes, {}, { inputs }).parameters)).toEqual(Object.keys(inputs));
    const listed = { ...inputs, lifted_tensor_0: "PARAMETER" } as const;
    expect(named(load(rows, nodes, {}, { inputs: listed }).parameters)).toEqual(["lifted_tensor_0"]);
  });

  it("of Keras that were equal and stored once train apart, by the operands that their nodes had", () => {
    const inputs = { t_0: "CONSTANT_TENSOR", t_1: "CONSTANT_TENSOR", t_2: "CONSTANT_TENSOR" } as const;
    const add = (input: string, output: string, operand: string): Node => ({
      opType: "Add",
      name: output,
      input: [input, "t_1"],
      output: [output],
      metadataProps: [{ key: "pkg.torch.onnx.fx_node", value: `%a = call(args = (%x, %p_${operand}))` }],
    });
    const nodes = [node("MatMul", ["x", "t_0"], "h"), add("h", "i", "t_1"), add("i", "y", "t_2")];
    const { parameters } = load([matrix("t_0"), vector("t_1", [0, 0])], nodes, {}, { inputs });
    expect(parameters).toHaveLength(3);
  });

  it("that the file lists and does not hold are named", () => {
    const inputs = { w: "PARAMETER", "gone.bias": "PARAMETER" } as const;
    const { notes } = load([matrix("w")], [node("MatMul", ["x", "w"], "y")], {}, { inputs });
    expect(notes).toEqual([expect.stringMatching(/no tensor is named for gone\.bias\./)]);
  });

  it("computed from several parameters trains as it is, and that is said", () => {
    const inputs = { "l.g": "PARAMETER", "l.v": "PARAMETER" } as const;
    const { parameters, notes } = load(
      [matrix("mul")],
      [node("MatMul", ["x", "mul"], "y")],
      {},
      {
        inputs,
        folded: { mul: ["l.g", "l.v"] },
      },
    );
    expect(named(parameters)).toEqual(["mul"]);
    expect(notes[0]).toMatch(
      /^"mul" was computed from l\.g, l\.v .* trains as it is stored: not as the model/,
    );
    const beside = load(
      [matrix("w"), matrix("div")],
      twice("w", "div"),
      {},
      {
        inputs: { w: "PARAMETER" },
        folded: { div: ["w"] },
      },
    );
    expect(beside.notes[0]).toMatch(/^"div" was computed from w .*, apart from w of the same origin/);
  });

  it("read by layers that are alike is said to be one, for they may have been several that were equal", () => {
    const layers = (first: string, second: string): Node[] => [
      { ...node("MatMul", ["x", "w"], "h"), name: `${first}/MatMul` },
      node("Identity", ["w"], "own"),
      { ...node("MatMul", ["h", "own"], "y"), name: `${second}/MatMul` },
    ];
    expect(load([matrix("w")], layers("/layers.0/linear", "/layers.1/linear")).notes).toEqual([
      expect.stringMatching(/"w" is read by 2 layers that are alike .* trains as one\..*dynamo=True/),
    ]);
    // One layer that is called again, and two parts of a model that share a matrix on purpose.
    expect(load([matrix("w")], layers("/cell", "/cell_1")).notes).toEqual([]);
    expect(load([matrix("w")], layers("/embed", "/head")).notes).toEqual([]);
  });

  it("an input may be given once and for all", () => {
    const nodes = twice("w", "w");
    expect(() => load([matrix("w")], nodes, { fixed: { x: [1] } })).toThrow(
      expect.objectContaining({ code: "bad-shape" }),
    );
    const { inputs, parameters } = load([matrix("w")], nodes, { fixed: { x: 2 } });
    expect(inputs).toEqual([]);
    expect(sizeOf(parameters[0]?.shape ?? [])).toBe(4);
  });

  it("takes a mask that an exporter folded and named like a weight as what it is", () => {
    const mask = floats("const_fold_opt__757", [2, 2], [0, -1e9, 0, 0]);
    const weight = floats("const_fold_opt__758", [2, 2], [0, -1e9, 0, 0.5]);
    const { parameters } = load(
      [mask, weight],
      [node("MatMul", ["x", mask.name ?? ""], "h"), node("MatMul", ["h", weight.name ?? ""], "y")],
    );
    expect(parameters.map(({ name }) => name)).toEqual(["const_fold_opt__758"]);
  });

  it("does not train what only gives its shape", () => {
    const { parameters } = load(
      [matrix("w"), matrix("only_shape")],
      [
        node("MatMul", ["x", "w"], "h"),
        node("Shape", ["only_shape"], "sizes"),
        node("ReduceProd", ["sizes"], "size"),
        {
          opType: "Cast",
          name: "cast",
          input: ["size"],
          output: ["scale"],
          attribute: [{ name: "to", type: 2, i: 1n }],
        },
        node("Mul", ["h", "scale"], "y"),
      ],
    );
    expect(parameters.map(({ name }) => name)).toEqual(["w"]);
  });
});

/** Of Σ y, as results named `d_NAME`. */
async function gradientsOf({
  graph,
  parameters,
  inputs,
  outputs,
}: ReturnType<typeof load>): Promise<Record<string, Float32Array>> {
  const [y] = outputs.map(({ tensor }) => tensor) as [Tensor];
  const targets = parameters.map(({ tensor }) => tensor);
  const found = differentiate(graph, new Map([[y, graph.full(y.shape, 1)]]), targets);
  const bytes = encodeModel(
    graph,
    Object.fromEntries(found.map((each, i) => [`d_${parameters[i]?.name}`, each])),
  );
  const fed = [...inputs, ...parameters];
  const feeds = {
    x: [1, 2, 3, 4, 5, 6],
    ...Object.fromEntries(parameters.map(({ name, read }) => [name, read()])),
  };
  return run({ bytes, inputs: named(fed) }, inputTypes(fed), feeds);
}
