import { describe, expect, it } from "vitest";
import { ARITHMETICS } from "../../src-protocol/arithmetic.ts";
import { evaluate, fixture, golden, relativeError } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";

const SIZES = { batch: 2, sequence: 6 };
const MLP = { batch: 5 };
/** An exporter keeps one of the two names of a tied parameter. */
const RENAMED: Readonly<Record<string, string>> = { "gpt2-dynamo/wte.weight": "head.weight" };

describe("an imported model", () => {
  it.each([
    ["mlp", MLP],
    ["llama-tied", SIZES],
    ["gpt2-tied", SIZES],
    ["gpt2-dynamo", SIZES],
    ["resnet", SIZES],
    ["resnet-eval", SIZES],
    ["bert", SIZES],
    ["bert-dynamo", {}],
    ["vit", SIZES],
    ["vit-dynamo", {}],
    ["attentive", {}],
    ["images", {}],
    ["keras-cnn", {}],
    ["keras-text", {}],
  ])(
    "%s: gives its framework's output and, for every parameter, its framework's gradient",
    async (name, sizes) => {
      const numbers = golden(name);
      const model = importModel(fixture(name), { sizes });
      expect(model.parameters.reduce((sum, { size }) => sum + size, 0)).toBe(
        [...numbers.gradients.values()].reduce((sum, { length }) => sum + length, 0),
      );
      const whole = Math.hypot(...[...numbers.gradients.values()].map((each) => Math.hypot(...each)));
      for (const arithmetic of ARITHMETICS) {
        const { output, gradients } = await evaluate(
          importModel(fixture(name), { sizes }),
          numbers,
          arithmetic,
        );
        expect(relativeError(output, numbers.output.data)).toBeLessThanOrEqual(5e-6);
        for (const [parameter, gradient] of numbers.gradients) {
          // A gradient that is 0 but for rounding (a bias before a norm, a key's) is measured against the whole.
          const norm = Math.hypot(...gradient);
          const scale = norm < 1e-6 * whole ? (1e-2 * whole) / norm : 1;
          const own = RENAMED[`${name}/${parameter}`] ?? parameter;
          expect.soft(relativeError(gradients[own], gradient) / scale, parameter).toBeLessThanOrEqual(5e-6);
        }
      }
    },
  );

  it("runs though its exporter has transposed and renamed the weights", async () => {
    const numbers = golden("llama-dynamo");
    const model = importModel(fixture("llama-dynamo"));
    const { output, gradients } = await evaluate(model, numbers);
    expect(relativeError(output, numbers.output.data)).toBeLessThanOrEqual(5e-6);
    expect(
      relativeError(gradients["embed.weight"], numbers.gradients.get("embed.weight") ?? []),
    ).toBeLessThan(5e-6);
  });

  it("keeps a tied embedding as one parameter", () => {
    const { parameters } = importModel(fixture("llama-tied"), { sizes: SIZES });
    expect(
      parameters.filter(({ shape }) => shape[0] === 24 && shape[1] === 16 && shape.length === 2),
    ).toContainEqual(expect.objectContaining({ name: "embed.weight" }));
    expect(parameters.map(({ name }) => name)).not.toContain("head.weight");
  });

  it("trains norm weights apart that the exporter has merged, and says so", () => {
    const { parameters, notes } = importModel(fixture("llama-tied"), { sizes: SIZES });
    expect(
      parameters
        .map(({ name }) => name)
        .filter((name) => name.includes("norm"))
        .sort(),
    ).toEqual([
      "blocks.0.norm1.weight",
      "blocks.0.norm2.weight",
      "blocks.1.norm1.weight",
      "blocks.1.norm2.weight",
      "norm.weight",
    ]);
    expect(notes).toEqual([expect.stringContaining("blocks.0.norm1.weight")]);
  });

  it("trains no mask and no table of positions", () => {
    const names = importModel(fixture("llama-dynamo")).parameters.map(({ name }) => name);
    expect(names).not.toContain("cos");
    expect(names).not.toContain("triu");
  });
});

describe("importing", () => {
  const refusal = (code: string, text: RegExp) =>
    expect.objectContaining({ code, message: expect.stringMatching(text) });

  it("asks for the size of a free dimension by its name", () => {
    expect(() => importModel(fixture("mlp"))).toThrow(refusal("free-dimension", /"input".*"batch"/));
  });

  it("fits the graph to the sizes that are given", () => {
    const shape = (sizes: Record<string, number>) =>
      importModel(fixture("llama-tied"), { sizes }).outputs[0]?.tensor.shape;
    expect(shape({ batch: 3, sequence: 4 })).toEqual([3, 4, 24]);
    expect(shape({ batch: 1, sequence: 9 })).toEqual([1, 9, 24]);
  });

  it("refuses a sequence that the model's own tables are too short for", () => {
    expect(() => importModel(fixture("gpt2-tied"), { sizes: { batch: 1, sequence: 13 } })).toThrow(
      expect.objectContaining({ code: "bad-shape" }),
    );
  });

  it("names the outputs there are when another is asked for", () => {
    expect(() => importModel(fixture("mlp"), { sizes: MLP, outputs: ["logits"] })).toThrow(
      refusal("unknown-output", /output, but not "logits"/),
    );
  });

  it("refuses what is no model, and a model that was cut off", () => {
    const whole = fixture("mlp");
    expect(() => importModel(new Uint8Array(0))).toThrow(refusal("bad-model-file", /no ONNX graph/));
    expect(() => importModel(new TextEncoder().encode("Not a model at all."))).toThrow(
      expect.objectContaining({ code: "bad-model-file" }),
    );
    expect(() => importModel(whole.subarray(0, whole.length - 300), { sizes: MLP })).toThrow(
      expect.objectContaining({ code: "bad-model-file" }),
    );
  });
});
