import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ModelProtoSchema, StringStringEntryProtoSchema, TensorProto_DataLocation } from "../onnx_pb.js";
import { externalPath, isInside } from "./external-data.ts";
import { fixture } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";

describe("a path to external data", () => {
  it.each(["model.onnx_data", "weights/layer.0.bin", "a b", "données", ".hidden", "..weights"])(
    "%j is read",
    (path) => {
      expect(externalPath(path)).toEqual(path.split("/"));
    },
  );

  it.each([
    "",
    ".",
    "..",
    "../secret",
    "a/../../secret",
    "a/..",
    "./a",
    "a//b",
    "a/",
    "/etc/passwd",
    "//server/share",
    "\\\\server\\share\\a",
    "..\\secret",
    "a\\b",
    "C:\\secret",
    "C:secret",
    "c:/secret",
    "weights.bin:stream",
    "a\u0000b",
    "a\nb",
    "a.",
    "a ",
    "... ",
    "NUL",
    "aux.txt",
    "sub/COM1",
    "a*",
    "x".repeat(2000),
  ])("%j is refused", (path) => {
    expect(() => externalPath(path)).toThrow(expect.objectContaining({ code: "external-data-path" }));
  });
});

describe("a real path", () => {
  it("is inside only when it continues the folder's", () => {
    expect(isInside("/models/mine", "/models/mine/data", "/")).toBe(true);
    expect(isInside("/models/mine/", "/models/mine/a/b", "/")).toBe(true);
    expect(isInside("C:\\models", "C:\\models\\data", "\\")).toBe(true);
    expect(isInside("/", "/data", "/")).toBe(true);
    expect(isInside("/models/mine", "/models/mine2/data", "/")).toBe(false);
    expect(isInside("/models/mine", "/models/mine", "/")).toBe(false);
    expect(isInside("/models/mine", "/etc/passwd", "/")).toBe(false);
  });
});

/** The fixture with its first stored tensor moved to another file, described by `entries`. */
function moved(entries: Record<string, string>): { bytes: Uint8Array; data: Uint8Array; size: number } {
  const model = fromBinary(ModelProtoSchema, fixture("mlp"));
  const tensor = model.graph?.initializer[0];
  if (!tensor) throw new Error("the fixture has no tensors");
  const data = new Uint8Array(tensor.rawData);
  tensor.rawData = new Uint8Array(0);
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  );
  return { bytes: toBinary(ModelProtoSchema, model), data, size: data.length };
}

describe("a model with external data", () => {
  const sizes = { batch: 5 };

  it("takes its numbers through the port: once to judge them, and when they are asked for", () => {
    const asked: unknown[] = [];
    const { bytes, data, size } = moved({ location: "weights/a.bin", offset: "8" });
    const readExternal = (...request: [string, number, number]): Uint8Array => {
      asked.push(request);
      return data;
    };
    const { parameters } = importModel(bytes, { sizes, readExternal });
    expect(asked).toEqual([["weights/a.bin", 8, size]]);
    const [own] = importModel(fixture("mlp"), { sizes }).parameters;
    expect(parameters[0]?.read()).toEqual(own?.read());
    expect(asked).toHaveLength(2);
  });

  it.each([
    ["a length that is not its shape's", { location: "a.bin", length: "999999999999" }, "bad-model-file"],
    ["an offset before the file", { location: "a.bin", offset: "-4" }, "bad-model-file"],
    ["an offset that is no number", { location: "a.bin", offset: "x" }, "bad-model-file"],
    ["a path outside of its folder", { location: "../a.bin" }, "external-data-path"],
    ["no path", {}, "external-data-path"],
  ])("with %s is refused before anything is read", (_, entries, code) => {
    const readExternal = (): never => {
      throw new Error("was read");
    };
    const read = (): unknown =>
      importModel(moved(entries as Record<string, string>).bytes, {
        sizes,
        readExternal,
      }).parameters[0]?.read();
    expect(read).toThrow(expect.objectContaining({ code }));
  });

  it("is refused when its other file was not given, or is too short", () => {
    const { bytes } = moved({ location: "a.bin" });
    expect(() => importModel(bytes, { sizes }).parameters[0]?.read()).toThrow(
      expect.objectContaining({ code: "external-data" }),
    );
    const readExternal = (): Uint8Array => new Uint8Array(3);
    expect(() => importModel(bytes, { sizes, readExternal }).parameters[0]?.read()).toThrow(
      expect.objectContaining({ code: "bad-model-file" }),
    );
  });
});
