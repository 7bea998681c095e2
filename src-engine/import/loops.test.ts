import { describe, expect, it } from "vitest";
import { randomStream } from "../random.ts";
import { type Feeds, worstDifference } from "../operators/differences.test-support.ts";
import { sizeOf } from "../shape.ts";
import { fixture } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";
import { type Case, fileOf, floats, list, numbers, type Operand } from "./node-file.test-support.ts";

const SIZES = { batch: 2, sequence: 6 };

describe("loops and recurrent layers", () => {
  it.each(["lstm", "lstm-old", "gru", "gru-state", "rnn-old", "scan", "turns"])(
    "%s: every gradient in float64 is that of finite differences",
    async (name) => {
      const { graph, inputs, outputs, parameters } = importModel(fixture(name), {
        sizes: SIZES,
        float: "float64",
      });
      const [output] = outputs;
      if (output === undefined) throw new Error("no output");
      const random = randomStream("loops.test", name);
      const feeds: Feeds = {};
      for (const { name: key, tensor } of inputs) {
        const data = Array.from({ length: sizeOf(tensor.shape) }, () => Math.floor(random() * 24));
        feeds[key] = { shape: tensor.shape, type: tensor.type, data };
      }
      for (const { name: key, shape, read } of parameters)
        feeds[key] = { shape, type: "float64", data: Array.from(read()) };
      const { shape } = output.tensor;
      const dy = graph.constant(
        "float64",
        shape,
        Array.from({ length: sizeOf(shape) }, () => 2 * random() - 1),
      );
      const seeds = new Map([[output.tensor, dy]]);
      const targets = parameters.map(({ tensor }) => tensor);
      expect(await worstDifference({ graph, seeds, targets, feeds, random })).toBeLessThan(1e-6);
    },
  );

  it("begin with zeros that do not train, and with a state that does where it is learned", () => {
    const rows = (name: string) => new Map(importModel(fixture(name)).stored.map((row) => [row.name, row]));
    const states = [...rows("lstm").values()].filter(({ shape }) => `${shape}` === "1,2,8");
    expect(states.map(({ trains }) => trains)).toEqual([false]);
    expect(rows("gru-state").get("start")).toMatchObject({ trains: true });
  });

  const x = numbers([4, 2, 3]);
  const [w, r, b]: [Operand, Operand, Operand] = [floats(1, 20, 3), floats(1, 20, 5), floats(1, 40)];
  const lengths: Operand = { type: "int32", shape: [2], values: [4, 2] };

  it.each<[string, Case]>([
    ["sequences of different lengths", { op: "LSTM", inputs: [x, w, r, b, lengths] }],
    [
      "sequences of different lengths, read backwards",
      { op: "LSTM", inputs: [x, w, r, b, lengths], attributes: { direction: "reverse" } },
    ],
    ["bounded gates", { op: "LSTM", inputs: [x, w, r, b], attributes: { clip: { float: 0.8 } } }],
    ["coupled gates", { op: "LSTM", inputs: [x, w, r, b], attributes: { input_forget: 1 } }],
  ])("with %s have the gradients of finite differences in float64", async (_, each) => {
    const { graph, inputs, outputs } = importModel(fileOf({ ...each, opset: 14, outputs: 3 }, 4), {
      float: "float64",
    });
    const random = randomStream("loops.test", "lengths");
    const uniform = (shape: readonly number[]) =>
      Array.from({ length: sizeOf(shape) }, () => 2 * random() - 1);
    const feeds: Feeds = Object.fromEntries(
      inputs.map(({ name, tensor: { shape, type } }) => [name, { shape, type, data: uniform(shape) }]),
    );
    const seeds = new Map(
      outputs.map(({ tensor }) => [tensor, graph.constant("float64", tensor.shape, uniform(tensor.shape))]),
    );
    const targets = inputs.filter(({ name }) => name !== "extra").map(({ tensor }) => tensor);
    expect(targets).toHaveLength(4);
    expect(await worstDifference({ graph, seeds, targets, feeds, random })).toBeLessThan(1e-6);
  });
  it.each<[string, Case, RegExp]>([
    [
      "lengths of another batch",
      { op: "LSTM", inputs: [x, w, r, b, { ...lengths, shape: [1], values: [4] }] },
      /sequence_lens of a LSTM has the shape \[1\], not \[2\]/,
    ],
    [
      "activations with numbers of their own",
      { op: "LSTM", inputs: [x, w, r, b], attributes: { activation_alpha: { floats: [1, 1, 1] } } },
      /numbers of their own/,
    ],
    ["a list where there is a tensor", { op: "SequenceAt", inputs: [x, list(0)] }, /where there is a tensor/],
    ["a loop without a body", { op: "Loop", inputs: [null, null, x] }, /has no body/],
  ])("with %s are refused in a sentence", (_, each, text) => {
    expect(() => importModel(fileOf(each, 1))).toThrow(text);
  });
});
