import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeModel } from "../src-engine/import/model-bytes.ts";
import { ModelProtoSchema, NodeProtoSchema } from "../src-engine/onnx_pb.js";
import { openModel } from "./model-folder.ts";
import { inspectionText, inspectModel, parseSizes } from "./model-inspect.ts";
import { mustSeeItsText } from "./model-sight.ts";

const fixture = (name: string): string =>
  join(import.meta.dirname, "..", "src-engine", "fixtures", `${name}.onnx`);
const LANGUAGE = { batch: 2, sequence: 6 };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tah model "));
  mkdirSync(join(folder, "mine", "sub"), { recursive: true });
  copyFileSync(fixture("mlp"), join(folder, "mine", "model.onnx"));
  writeFileSync(
    join(folder, "mine", "sub", "data.bin"),
    Uint8Array.from({ length: 16 }, (_, i) => i),
  );
  writeFileSync(join(folder, "secret"), "0123456789abcdef");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("inspecting a model", () => {
  it("tells operators, parameters, cut points and a plan", async () => {
    const found = await inspectModel(fixture("llama-tied"), { stages: 3, sizes: LANGUAGE });
    expect(found.operators).toMatchObject({ MatMul: 19, Softmax: 2 });
    expect(found.parameterCount).toBe(4816);
    expect(found.cutPoints.map(({ shape }) => shape)).toContainEqual([2, 6, 16]);
    expect(found.plan?.stages).toHaveLength(3);
    expect(found.problem).toBeNull();
    const text = inspectionText(found);
    expect(text).toContain("Parameters:  4,816 in 20 tensors");
    expect(text).toContain("Plan for 3 computers");
    expect(text).not.toContain("Assumed");
  });

  it("assumes the sizes that are left open, and says which", async () => {
    const found = await inspectModel(fixture("mlp"), { stages: null, sizes: {} });
    expect(found.sizes).toEqual({ batch: 1 });
    expect(inspectionText(found)).toContain("Assumed:     batch 1. Other sizes: --size batch=N");
  });

  it("says what there is when a size is given that the model does not leave open", async () => {
    await expect(inspectModel(fixture("mlp"), { stages: null, sizes: { seq: 4 } })).rejects.toThrow(
      expect.objectContaining({ code: "bad-size", message: expect.stringContaining("batch") }),
    );
  });

  it("says that it assumed a size where the model does not take it", async () => {
    await expect(inspectModel(fixture("gpt2-tied"), { stages: null, sizes: {} })).rejects.toThrow(
      expect.objectContaining({
        code: "bad-shape",
        message: expect.stringMatching(
          /assumed \(batch 1, sequence 128\)\. Say others, as in --size sequence=N/,
        ),
      }),
    );
  });

  it("says which tensors train and why, as far as anybody can go wrong there, or all of them", async () => {
    const found = await inspectModel(fixture("waves"), { stages: 1, sizes: {}, freeze: ["head.*"] });
    expect(inspectionText(found)).toMatch(
      /cat \[6, 8\] does not train: computed from constants .*\n.*pe \[6, 8\] does not train: the file lists it as a buffer/,
    );
    const all = inspectionText(found, true);
    expect(all).toMatch(/mask_token \[1, 1, 8\] trains: the file lists it as a parameter/);
    expect(all).toMatch(/head\.bias \[24\] does not train: as you asked/);
  });

  it("says of scores that end in a Softmax what the loss makes of them", async () => {
    const file = join(folder, "probabilities.onnx");
    writeFileSync(file, ending(fixture("llama-tied"), { opType: "Softmax", output: ["probabilities"] }));
    const { notes } = await inspectModel(file, { stages: 1, sizes: LANGUAGE });
    expect(notes).toContainEqual(expect.stringMatching(/"probabilities" ends in a Softmax/));
  });

  it("says that scores have their places last, which looks alike where there are as many as tokens", async () => {
    const file = join(folder, "columns.onnx");
    const attribute = [{ name: "perm", type: 7, ints: [0n, 2n, 1n] }];
    writeFileSync(
      file,
      ending(fixture("llama-tied"), { opType: "Transpose", attribute, output: ["columns"] }),
    );
    const { notes } = await inspectModel(file, { stages: 1, sizes: { batch: 2, sequence: 24 } });
    expect(notes).toContainEqual(expect.stringMatching(/"columns" have their places last/));
    expect(() => mustSeeItsText({ sight: "transposed", notes })).toThrow(
      expect.objectContaining({ code: "which-scores" }),
    );
  });

  it("tells why there is no plan, and everything else all the same", async () => {
    const found = await inspectModel(fixture("mlp"), { stages: 50, sizes: {} });
    expect(found).toMatchObject({ plan: null, problem: { code: "too-many-stages" }, parameterCount: 516 });
    expect(inspectionText(found)).toContain("Problem:");
  });

  it.each<[string, string, Record<string, number>, RegExp]>([
    ["gru", "reads in both directions", {}, /sees ahead: scores of "output" move.*Export it with the mask/],
    [
      "cached",
      "has Optimum's inputs",
      { sequence_length: 6 },
      /"past_key_values\.0\.key" and 1 more like it, a cache .* is empty/,
    ],
    ["resnet", "takes statistics of its batch", {}, /statistics of each micro-batch .*model\.eval\(\)/],
  ])("says of %s, which %s, what a person should know before it trains", async (name, _, sizes, note) => {
    const found = await inspectModel(fixture(name), { stages: 1, sizes });
    expect(found.problem).toBe(null);
    expect(found.notes).toContainEqual(expect.stringMatching(note));
  });

  it("says nothing of a model that looks back only", async () => {
    const { notes } = await inspectModel(fixture("lstm"), { stages: 1, sizes: {} });
    expect(notes).toEqual([]);
  });

  it("reads sizes as they are typed", () => {
    expect(parseSizes(["batch=4", "input[1]=7"])).toEqual({ batch: 4, "input[1]": 7 });
    for (const word of ["batch", "batch=", "=4", "batch=0", "batch=-1", "batch=x"])
      expect(() => parseSizes([word])).toThrow(expect.objectContaining({ code: "bad-size" }));
  });
});

/** The model with another output, which the node makes of its scores. */
function ending(path: string, node: MessageInitShape<typeof NodeProtoSchema>): Uint8Array {
  const { model, graph } = decodeModel(new Uint8Array(readFileSync(path)));
  const [output] = graph.output;
  if (output === undefined) throw new Error("no output");
  const last = create(NodeProtoSchema, { ...node, input: [output.name] });
  graph.node.push(last);
  output.name = last.output[0] ?? "";
  return toBinary(ModelProtoSchema, model);
}

describe("a model's folder", () => {
  const open = () => openModel(join(folder, "mine", "model.onnx")).readExternal;

  it("gives a part of a file in it", () => {
    expect(open()("sub/data.bin", 4, 3)).toEqual(Uint8Array.of(4, 5, 6));
  });

  it.runIf(process.platform !== "win32")("does not follow a link out of it", () => {
    symlinkSync(join(folder, "secret"), join(folder, "mine", "link"));
    symlinkSync(folder, join(folder, "mine", "up"));
    symlinkSync("sub/data.bin", join(folder, "mine", "inner"));
    for (const path of ["link", "up/secret"])
      expect(() => open()(path, 0, 4)).toThrow(expect.objectContaining({ code: "external-data-path" }));
    expect(open()("inner", 0, 1)).toEqual(Uint8Array.of(0));
  });

  it("refuses a part that is not there, before memory is taken for it", () => {
    const codes = expect.objectContaining({ code: "external-data" });
    expect(() => open()("sub/data.bin", 8, 2 ** 40)).toThrow(codes);
    expect(() => open()("missing.bin", 0, 1)).toThrow(codes);
    expect(() => open()("sub", 0, 1)).toThrow(codes);
  });

  it.each([
    ["model.safetensors", /Name the folder that it is in/],
    ["llama.Q4_K_M.gguf", /the model that it was made from/],
    ["pytorch_model.bin", /export it to ONNX/],
  ])("that is asked for by %s is refused with what to name instead", (name, text) => {
    writeFileSync(join(folder, name), "");
    expect(() => openModel(join(folder, name))).toThrow(
      expect.objectContaining({ code: "not-onnx", message: expect.stringMatching(text) }),
    );
  });

  it("is found by a file in it", () => {
    for (const path of [join(folder, "mine"), join(folder, "none.onnx")])
      expect(() => openModel(path)).toThrow(expect.objectContaining({ code: "model-not-found" }));
  });
});

describe("tah model inspect", () => {
  const tah = (...words: string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, "tah.ts"), "model", "inspect", ...words], {
      encoding: "utf8",
    });

  it("prints for a person, and JSON for a program", () => {
    const words = [fixture("llama-tied"), "--size", "batch=2", "sequence=6", "--stages", "2"];
    const person = tah(...words);
    expect(person).toMatchObject({ status: 0, stderr: "" });
    expect(person.stdout).toContain("Plan for 2 computers");
    const program = tah(...words, "--json");
    expect(JSON.parse(program.stdout)).toMatchObject({ parameterCount: 4816, problem: null });
  });

  it("refuses with a sentence, or with its code for a program", () => {
    const damaged = tah(join(folder, "secret"));
    expect(damaged).toMatchObject({ status: 1, stdout: "" });
    expect(damaged.stderr).toMatch(/^This is not an ONNX model.*\n$/);
    const refused = tah(fixture("mlp"), "--size", "batch=none", "--json");
    expect(refused.status).toBe(2);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: "bad-size" } });
  });
});
