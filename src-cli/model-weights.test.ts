import { create, toBinary } from "@bufbuild/protobuf";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { importModel } from "../src-engine/import/import-model.ts";
import { decodeModel } from "../src-engine/import/model-bytes.ts";
import {
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "../src-engine/onnx_pb.js";
import type { NodeProto, TensorProto } from "../src-engine/onnx_pb.js";
import { packedModel, withWeights } from "./model-weights.ts";

const fixture = (name: string): Uint8Array =>
  readFileSync(join(import.meta.dirname, "..", "src-engine", "fixtures", name));

const parametersOf = (file: Uint8Array): Map<string, Float32Array> => {
  const { parameters } = importModel(file, { sizes: { batch: 1, sequence: 4 } });
  return new Map(parameters.map((parameter) => [parameter.name, parameter.read()]));
};

/** Every number of the file in another one, by (location, offset). */
function spread(file: Uint8Array): {
  file: Uint8Array;
  read: (l: string, o: number, n: number) => Uint8Array;
} {
  const { model, graph } = decodeModel(file);
  const parts: Buffer[] = [Buffer.alloc(5)];
  for (const tensor of graph.initializer) {
    const bytes = Buffer.from(tensor.rawData);
    const offset = parts.reduce((sum, part) => sum + part.length, 0);
    parts.push(bytes);
    const entries = { location: "all.bin", offset: String(offset), length: String(bytes.length) };
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    tensor.rawData = new Uint8Array();
  }
  const all = Buffer.concat(parts);
  return {
    file: toBinary(ModelProtoSchema, model),
    read: (location, offset, length) => {
      expect(location).toBe("all.bin");
      return all.subarray(offset, offset + length);
    },
  };
}

const numbersOf = (tensor: Tensor | undefined): number[] => Array.from((tensor?.data ?? []) as Float32Array);

const unread = (): never => {
  throw new Error("read");
};

describe("a model in one file", () => {
  it("is the file itself where nothing lies outside", () => {
    const file = fixture("llama-tied.onnx");
    expect(packedModel(file, unread)).toBe(file);
  });

  it("holds what lay outside, number for number", () => {
    const original = fixture("gpt2-tied.onnx");
    const { file, read } = spread(original);
    expect(file.length).toBeLessThan(original.length - 25_000);
    expect(parametersOf(packedModel(file, read))).toEqual(parametersOf(original));
  });

  it("is refused before anything is read when one file cannot hold it", () => {
    const { model, graph } = decodeModel(fixture("llama-tied.onnx"));
    const [tensor] = graph.initializer;
    if (!tensor) throw new Error("no tensor");
    tensor.dims = [40_000n, 20_000n];
    tensor.rawData = new Uint8Array();
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
    tensor.externalData = [create(StringStringEntryProtoSchema, { key: "location", value: "w" })];
    expect(() => packedModel(toBinary(ModelProtoSchema, model), unread)).toThrow(
      /3\.2 GB with its external data/,
    );
  });
});

describe("trained weights", () => {
  it.each(["llama-tied.onnx", "gpt2-tied.onnx", "gpt2-dynamo.onnx", "llama-dynamo.onnx"])(
    "written into %s are what is read from it again, and ONNX Runtime computes with them",
    async (name) => {
      const file = fixture(name);
      const weights = new Map(
        [...parametersOf(file)].map(([key, values], i) => [
          key,
          values.map((value, k) => value + 0.01 * Math.sin(i + k)),
        ]),
      );
      const written = withWeights(file, weights);
      const again = importModel(written, { sizes: { batch: 2, sequence: 6 } });
      expect(new Map(again.parameters.map((each) => [each.name, each.read()]))).toEqual(weights);
      expect(decodeModel(written).graph.node.length).toBeLessThanOrEqual(decodeModel(file).graph.node.length);
      const session = await InferenceSession.create(written, { logSeverityLevel: 3 });
      const input = new Tensor(
        "int64",
        BigInt64Array.from({ length: 12 }, (_, i) => BigInt(i)),
        [2, 6],
      );
      const scores = numbersOf((await session.run({ input }))["output"]);
      expect(scores).toHaveLength(2 * 6 * 24);
      expect(scores.every(Number.isFinite)).toBe(true);
    },
  );

  /** A norm vector of ones, as exporters merge it: read by two nodes, and by a third through an Identity. */
  function merged(): Uint8Array {
    const one = tensor("one", 1, [2n], new Uint8Array(new Float32Array([1, 1]).buffer));
    return model(
      [one],
      [
        node("first", "Mul", ["x", "one"], "a"),
        node("second", "Mul", ["a", "one"], "b"),
        node("", "Identity", ["one"], "own"),
        node("third", "Mul", ["b", "own"], "y"),
      ],
    );
  }

  it("of vectors that were merged go back apart", async () => {
    const weights = parametersOf(merged());
    expect([...weights.keys()].length).toBe(3);
    const numbers = [...weights.keys()].map((name, i) => [name, Float32Array.of(2 + i, 5 + i)] as const);
    const written = withWeights(merged(), new Map(numbers));
    expect(parametersOf(written)).toEqual(new Map(numbers));
    const session = await InferenceSession.create(written, { logSeverityLevel: 3 });
    const results = await session.run({ x: new Tensor("float32", [1, 1], [1, 2]) });
    expect(numbersOf(results["y"])).toEqual([2 * 3 * 4, 5 * 6 * 7]);
  });

  it("leave alone the statistics that were merged with them", () => {
    const file = fixture("resnet-eval.onnx");
    const weights = parametersOf(file);
    for (const values of weights.values()) values.fill(0.5);
    const { graph } = decodeModel(withWeights(file, weights));
    const held = new Map(graph.initializer.map(({ name, rawData }) => [name, rawData]));
    const ones = new Uint8Array(Float32Array.from({ length: 6 }, () => 1).buffer);
    expect(held.get("1.weight")).not.toEqual(ones);
    const names = ["1.running_var", "4.bn1.running_var", "4.bn2.running_var"];
    expect(names.map((name) => Uint8Array.from(held.get(name) ?? []))).toEqual([ones, ones, ones]);
  });

  it.each(["hf-gpt2", "hf-qwen3", "hf-gemma3", "tied-old", "encoder", "constants"])(
    "of %s go back into every form that the file stores, and are found there again",
    async (name) => {
      const file = fixture(`${name}.onnx`);
      const weights = parametersOf(file);
      for (const values of weights.values())
        for (const i of values.keys()) values[i] = (values[i] ?? 0) * 0.5 + 0.01;
      const written = withWeights(file, weights);
      expect(parametersOf(written)).toEqual(weights);
      const session = await InferenceSession.create(written, { logSeverityLevel: 3 });
      expect(session.outputNames).toEqual(["output"]);
      await session.release();
    },
  );

  it.each<[string, number, number]>([
    ["float64", 11, 0],
    ["float16", 10, 2 ** -11],
    ["bfloat16", 16, 2 ** -8],
  ])("keep the file's own type: %s", (_, type, error) => {
    const bytes = { 11: 8, 10: 2, 16: 2 }[type] ?? 0;
    const file = model(
      [tensor("w", type, [3n, 2n], new Uint8Array(6 * bytes))],
      [node("product", "MatMul", ["x", "w"], "y")],
      3,
    );
    const values = Float32Array.of(1.000_244_1, -0.333_333_3, 3.210_987_6, 65_000, 0.000_123, -1.996_1);
    const written = withWeights(file, new Map([["w", values]]));
    const read = parametersOf(written).get("w") ?? new Float32Array();
    for (const [i, value] of values.entries())
      expect(Math.abs((read[i] ?? 0) - value)).toBeLessThanOrEqual(Math.abs(value) * error);
    expect(decodeModel(written).graph.initializer[0]?.rawData).toHaveLength(6 * bytes);
  });

  it("that do not belong to the file are refused", () => {
    const file = fixture("llama-tied.onnx");
    expect(() => withWeights(file, new Map([["none", new Float32Array(1)]]))).toThrow(
      /"none" is not in the file/,
    );
    expect(() => withWeights(file, new Map([["embed.weight", new Float32Array(1)]]))).toThrow(
      /has 384 numbers in the file and 1 in training/,
    );
  });
});

function tensor(name: string, dataType: number, dims: bigint[], rawData: Uint8Array): TensorProto {
  return create(TensorProtoSchema, { name, dataType, dims, rawData });
}

function node(name: string, opType: string, input: string[], output: string): NodeProto {
  return create(NodeProtoSchema, { name, opType, input, output: [output] });
}

/** From `x` float32 [1, width] to `y`. Of IR 3, where stored tensors were inputs too. */
function model(initializer: TensorProto[], nodes: NodeProto[], width = 2): Uint8Array {
  const value = (name: string, dims: readonly bigint[]) => {
    const dim = dims.map((size) => ({ value: { case: "dimValue" as const, value: size } }));
    return create(ValueInfoProtoSchema, {
      name,
      type: { value: { case: "tensorType", value: { elemType: 1, shape: { dim } } } },
    });
  };
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 3n,
      opsetImport: [{ domain: "", version: 13n }],
      graph: {
        name: "small",
        initializer,
        node: nodes,
        input: [value("x", [1n, BigInt(width)]), ...initializer.map(({ name, dims }) => value(name, dims))],
        output: [value("y", [1n, 2n])],
      },
    }),
  );
}
