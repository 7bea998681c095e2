import { describe, expect, it } from "vitest";
import { encodeModel } from "../model-file.ts";
import { FOLDS } from "./fold.ts";
import { inputTypes, run } from "./golden.test-support.ts";
import { importModel } from "./import-model.ts";
import { lowering } from "./lowering.ts";
import {
  bools,
  type Case,
  fileOf,
  floats,
  int,
  ints,
  list,
  numbers,
  type Operand,
  positive,
  ratios,
  single,
} from "./node-file.test-support.ts";

const CASES: readonly Case[] = [
  ...["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"].map((op) => ({
    op,
    inputs: [positive(2, 3), positive(3)],
  })),
  ...["Add", "Sub", "Mul", "Div", "Min", "Max"].map((op) => ({
    op,
    inputs: [ints([2, 2], 7, -7, 9, 5), ints([2], 2, -3)],
  })),
  { op: "Mod", inputs: [ints([4], 7, -7, 8, 0), int(3)] },
  { op: "Mod", inputs: [floats(4), single(0.5)], attributes: { fmod: 1 } },
  { op: "Sum", inputs: [floats(2, 3), floats(3), floats(2, 1)] },
  ...["Neg", "Abs", "Sign", "Floor", "Ceil", "Exp", "Cos", "Sin", "Tanh", "Relu", "Sigmoid", "IsNaN"].map(
    (op) => ({
      op,
      inputs: [floats(2, 3)],
    }),
  ),
  { op: "Round", inputs: [{ type: "float32" as const, shape: [5], values: [0.5, 1.5, -0.5, -1.5, 2.4] }] },
  ...["Sqrt", "Reciprocal", "Log"].map((op) => ({ op, inputs: [positive(2, 3)] })),
  { op: "Clip", inputs: [floats(6), single(-0.5), single(0.9)] },
  { op: "Clip", inputs: [floats(6), null, single(0.9)] },
  { op: "Clip", inputs: [ints([4], -3, 0, 2, 9), int(0)] },
  { op: "Clip", inputs: [ints([4], -3, 0, 2, 9), null, int(2)] },
  { op: "Clip", inputs: [floats(6)], attributes: { min: { float: -0.5 } }, opset: 9 },
  ...["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"].map((op) => ({
    op,
    inputs: [ints([2, 2], 1, 2, 3, 4), ints([2], 2, 3)],
  })),
  ...["And", "Or", "Xor"].map((op) => ({ op, inputs: [bools([4], 0, 0, 1, 1), bools([4], 0, 1, 0, 1)] })),
  { op: "Not", inputs: [bools([2], 0, 1)] },
  { op: "Where", inputs: [bools([3, 1], 0, 1, 1), floats(1, 2), single(3)] },
  { op: "Cast", inputs: [floats(2, 3)], attributes: { to: 7 } },
  { op: "Cast", inputs: [ints([3], -1, 0, 2)], attributes: { to: 9 } },
  { op: "CastLike", inputs: [ints([3], -1, 0, 2), single(1)] },
  { op: "MatMul", inputs: [floats(2, 3), floats(3, 4)] },
  { op: "MatMul", inputs: [floats(2, 1, 2, 3), floats(3, 3, 4)] },
  { op: "Identity", inputs: [floats(2)] },
  { op: "Reshape", inputs: [floats(2, 3, 4), list(0, -1)] },
  { op: "Flatten", inputs: [floats(2, 3, 4)], attributes: { axis: -1 } },
  { op: "Squeeze", inputs: [floats(1, 3, 1), list(-1)] },
  { op: "Squeeze", inputs: [floats(1, 3, 1)] },
  { op: "Squeeze", inputs: [floats(1, 3, 1)], attributes: { axes: [0] }, opset: 11 },
  { op: "Unsqueeze", inputs: [floats(2, 3), list(0, -1)] },
  { op: "Unsqueeze", inputs: [floats(2, 3)], attributes: { axes: [1] }, opset: 11 },
  { op: "Expand", inputs: [floats(3, 1), list(2, 1, 4)] },
  { op: "Tile", inputs: [floats(2, 3), list(2, 1)] },
  { op: "Transpose", inputs: [floats(2, 3, 4)] },
  { op: "Transpose", inputs: [floats(2, 3, 4)], attributes: { perm: [1, 2, 0] } },
  { op: "Concat", inputs: [floats(2, 1, 2), floats(2, 3, 2)], attributes: { axis: -2 } },
  { op: "Split", inputs: [floats(7, 2), list(3, 4)], outputs: 2 },
  { op: "Split", inputs: [floats(2, 7)], attributes: { axis: 1, num_outputs: 3 }, outputs: 3, opset: 18 },
  { op: "Split", inputs: [floats(2, 6)], attributes: { axis: 1 }, outputs: 2, opset: 11 },
  { op: "Slice", inputs: [floats(5, 6), list(1, -3), list(2 ** 53, -1)] },
  { op: "Slice", inputs: [floats(5, 6), list(4, 0), list(-(2 ** 53), 6), list(0, 1), list(-2, 3)] },
  { op: "Slice", inputs: [floats(5, 6)], attributes: { starts: [1], ends: [4], axes: [1] }, opset: 9 },
  { op: "Gather", inputs: [floats(4, 3), ints([2, 2], 0, 3, -1, 1)] },
  { op: "Gather", inputs: [floats(2, 4, 3), list(3, 0)], attributes: { axis: 1 } },
  { op: "Gather", inputs: [floats(2, 4, 3), list(1, 2)], attributes: { axis: -2 } },
  { op: "Gather", inputs: [floats(2, 4), int(2)], attributes: { axis: 1 } },
  { op: "Trilu", inputs: [floats(3, 4), int(1)] },
  { op: "Trilu", inputs: [floats(2, 3, 3)], attributes: { upper: 0 } },
  { op: "NonZero", inputs: [ints([2, 3], 0, 1, 2, 0, 0, 3)] },
  { op: "Range", inputs: [int(1), int(8), int(3)] },
  { op: "ConstantOfShape", inputs: [list(2, 3)] },
  { op: "CumSum", inputs: [floats(2, 4), int(1)] },
  ...["ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin"].flatMap((op) => [
    { op, inputs: [floats(2, 3, 2), list(-1, 0)], attributes: { keepdims: 0 }, opset: 18 },
    { op, inputs: [floats(2, 3)], opset: 18 },
    { op, inputs: [floats(2, 3, 2)], attributes: { axes: [1] }, opset: 11 },
  ]),
  // What is only computed as nodes.
  { op: "MatMul", inputs: [floats(3), floats(2, 3, 4)] },
  { op: "MatMul", inputs: [floats(2, 3), floats(3)] },
  { op: "Softmax", inputs: [floats(2, 3, 2)], attributes: { axis: 1 } },
  { op: "Softmax", inputs: [floats(2, 3, 2)], opset: 11 },
  { op: "LogSoftmax", inputs: [floats(2, 3)], attributes: { axis: 0 } },
  {
    op: "Gemm",
    inputs: [floats(3, 2), floats(4, 3), floats(4)],
    attributes: { transA: 1, transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } },
  },
  { op: "Pow", inputs: [positive(2, 3), int(3)] },
  { op: "Pow", inputs: [floats(2, 3), single(2)] },
  { op: "Dropout", inputs: [floats(2, 3)] },
  {
    op: "LayerNormalization",
    inputs: [floats(2, 3, 4), floats(4), floats(4)],
    attributes: { axis: -1, epsilon: { float: 1e-3 } },
  },
  { op: "Gelu", inputs: [floats(2, 3)], attributes: { approximate: "tanh" }, opset: 20 },
  { op: "Erf", inputs: [floats(2, 3)] },
  {
    op: "Conv",
    inputs: [floats(1, 2, 5, 5), floats(4, 1, 3, 3), floats(4)],
    attributes: { group: 2, pads: [1, 1, 1, 1], strides: [2, 2] },
  },
  ...["Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh", "Softsign", "Selu"].map((op) => ({
    op,
    inputs: [numbers([2, 3], -0.9, 0.17)],
  })),
  { op: "Celu", inputs: [floats(2, 3)], attributes: { alpha: { float: 0.5 } } },
  { op: "ThresholdedRelu", inputs: [floats(2, 3)] },
  { op: "Shrink", inputs: [floats(2, 3)], attributes: { lambd: { float: 0.75 }, bias: { float: 0.25 } } },
  ...["ReduceL1", "ReduceL2", "ReduceSumSquare"].map((op) => ({
    op,
    inputs: [floats(2, 3, 2)],
    attributes: { axes: [-1], keepdims: 0 },
  })),
  { op: "ReduceLogSum", inputs: [positive(2, 3, 2)], attributes: { axes: [0, 1] } },
  ...["ReduceLogSum", "ReduceSumSquare", "ReduceL1"].map((op) => ({ op, inputs: [single(0.2)] })),
  { op: "ReduceSum", inputs: [ints([2, 3], 1, 2, 3, 4, 5, 6), list(1)] },
  { op: "Einsum", inputs: [floats(2, 3, 4), floats(5, 3, 4)], attributes: { equation: "bhd, khd -> bhk" } },
  { op: "GatherND", inputs: [floats(2, 3, 4), ints([2, 1], 2, -1)], attributes: { batch_dims: 1 } },
  { op: "ScatterND", inputs: [floats(4, 3), ints([2, 1], 3, 0), floats(2, 3)], opset: 18 },
  { op: "GatherElements", inputs: [floats(2, 3), ints([2, 1], 2, 0)], attributes: { axis: 1 } },
  { op: "OneHot", inputs: [ints([3], 2, 0, -1), int(4), list(0, 7)], attributes: { axis: 0 } },
  { op: "TopK", inputs: [floats(3, 5), list(2)], attributes: { axis: 1 }, outputs: 2 },
  { op: "TopK", inputs: [floats(5, 2)], attributes: { axis: 0, k: 3 }, outputs: 2, opset: 9 },
  ...["ArgMax", "ArgMin"].map((op) => ({
    op,
    inputs: [floats(3, 4)],
    attributes: { axis: -1, keepdims: 0, select_last_index: 1 },
  })),
  { op: "DepthToSpace", inputs: [floats(1, 8, 2, 3)], attributes: { blocksize: 2, mode: "CRD" } },
  { op: "SpaceToDepth", inputs: [floats(1, 2, 4, 6)], attributes: { blocksize: 2 } },
  { op: "LpNormalization", inputs: [floats(2, 3)], attributes: { axis: 1 } },
  { op: "LRN", inputs: [floats(1, 4, 2, 2)], attributes: { size: 3, alpha: { float: 0.5 } } },
  {
    op: "Resize",
    inputs: [floats(1, 1, 2, 3), null, null, list(1, 1, 5, 4)],
    attributes: { mode: "linear" },
  },
  {
    op: "Resize",
    inputs: [floats(1, 1, 4, 3), null, ratios(0.5, 2)],
    attributes: { axes: [2, 3], mode: "cubic" },
    opset: 18,
  },
  {
    op: "Resize",
    inputs: [floats(1, 1, 3, 2), ratios(), ratios(), list(1, 1, 2, 5)],
    attributes: { coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
    opset: 11,
  },
  { op: "Resize", inputs: [floats(1, 1, 2, 3), ratios(1, 1, 2, 3)], opset: 10 },
  {
    op: "Upsample",
    inputs: [floats(1, 1, 2, 3), ratios(1, 1, 2, 3)],
    attributes: { mode: "linear" },
    opset: 9,
  },
  {
    op: "Upsample",
    inputs: [floats(1, 1, 2, 2)],
    attributes: { scales: { floats: [1, 1, 2, 3] } },
    opset: 7,
  },
  { op: "Pad", inputs: [floats(2, 3), list(1, 0, 0, 2), single(0.5)] },
  {
    op: "Pad",
    inputs: [floats(2, 3), list(1, 2), null, list(-1)],
    attributes: { mode: "reflect" },
    opset: 18,
  },
  { op: "Pad", inputs: [floats(2, 3)], attributes: { pads: [1, 0, 0, 2], value: { float: 0.5 } }, opset: 9 },
  { op: "MaxPool", inputs: [floats(1, 2, 5, 5)], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: "AveragePool", inputs: [floats(1, 2, 4, 4)], attributes: { kernel_shape: [2, 2] } },
  { op: "GlobalAveragePool", inputs: [floats(1, 2, 3, 3)] },
  {
    op: "BatchNormalization",
    inputs: [floats(2, 3, 2), floats(3), floats(3), floats(3), positive(3)],
    attributes: { epsilon: { float: 1e-3 } },
  },
];

/** Of data, these have results of no fixed shape, or no row in the table yet. */
const SHAPES_ONLY = ["NonZero", "Range", "ConstantOfShape", "Mod", "ReduceProd", "CumSum"].filter(
  (op) => !lowering(op),
);

/** X [4, 2, 3], hidden 5, and what a recurrent layer of so many gates and directions reads beside it. */
const recurrent = (gates: number, directions = 1): Operand[] => [
  numbers([4, 2, 3], -0.9, 0.17),
  numbers([directions, gates * 5, 3], -0.6, 0.11),
  numbers([directions, gates * 5, 5], -0.4, 0.09),
  numbers([directions, 2 * gates * 5], -0.3, 0.05),
];
const state = (directions = 1): Operand => numbers([directions, 2, 5], -0.5, 0.1);
const lengths = (...values: number[]): Operand => ({ type: "int32", shape: [2], values });
const RECURRENT: readonly Case[] = [
  ...[
    { op: "RNN", gates: 1 },
    { op: "GRU", gates: 3 },
    { op: "LSTM", gates: 4 },
  ].flatMap(({ op, gates }): Case[] => {
    const outputs = op === "LSTM" ? 3 : 2;
    const sizes = { hidden_size: 5 };
    const [x, w, r] = recurrent(gates) as [Operand, Operand, Operand];
    return [
      { op, inputs: recurrent(gates), attributes: sizes, outputs },
      { op, inputs: [x, w, r], attributes: sizes, outputs },
      {
        op,
        inputs: [...recurrent(gates), lengths(4, 4), state()],
        attributes: sizes,
        outputs,
      },
      { op, inputs: recurrent(gates), attributes: { ...sizes, direction: "reverse" }, outputs },
      {
        op,
        inputs: [...recurrent(gates, 2), null, state(2), ...(op === "LSTM" ? [state(2)] : [])],
        attributes: { ...sizes, direction: "bidirectional" },
        outputs,
      },
      { op, inputs: [...recurrent(gates), lengths(3, 1)], attributes: sizes, outputs },
      {
        op,
        inputs: [...recurrent(gates, 2), lengths(2, 4), state(2), ...(op === "LSTM" ? [state(2)] : [])],
        attributes: { ...sizes, direction: "bidirectional" },
        outputs,
      },
      { op, inputs: recurrent(gates), attributes: { ...sizes, clip: { float: 0.3 } }, outputs },
      {
        op,
        inputs: [...recurrent(gates), null, state(), ...(op === "LSTM" ? [state()] : [])],
        attributes: { ...sizes, clip: { float: 0.2 } },
        outputs,
      },
    ].map((each) => Object.assign(each, { opset: 14 }));
  }),
  {
    op: "GRU",
    inputs: recurrent(3),
    attributes: { hidden_size: 5, linear_before_reset: 1 },
    outputs: 2,
    opset: 14,
  },
  {
    op: "GRU",
    inputs: [...recurrent(3, 2), null, state(2)],
    attributes: { hidden_size: 5, linear_before_reset: 1, direction: "bidirectional" },
    outputs: 2,
    opset: 22,
  },
  {
    op: "LSTM",
    inputs: [...recurrent(4), null, state(), state(), numbers([1, 15], -0.2, 0.04)],
    attributes: { hidden_size: 5 },
    outputs: 3,
    opset: 14,
  },
  {
    op: "LSTM",
    inputs: [...recurrent(4), lengths(4, 2), state(), state(), numbers([1, 15], -0.2, 0.04)],
    attributes: { hidden_size: 5, input_forget: 1 },
    outputs: 3,
    opset: 14,
  },
  {
    op: "LSTM",
    inputs: [...recurrent(4), null, state(), numbers([1, 2, 5], -1.5, 0.4), numbers([1, 15], -0.2, 0.04)],
    attributes: { hidden_size: 5, clip: { float: 0.25 } },
    outputs: 3,
    opset: 14,
  },
  {
    op: "RNN",
    inputs: recurrent(1, 2),
    attributes: { hidden_size: 5, direction: "bidirectional", activations: { texts: ["Relu", "Softsign"] } },
    outputs: 2,
    opset: 14,
  },
];

/** The file as the runtime computes it, and as the engine's graph of it computes. */
async function both(
  each: Case,
  fed: number,
): Promise<[Record<string, Float32Array>, Record<string, Float32Array>]> {
  const bytes = fileOf(each, fed);
  const extra = { name: "extra", type: "float32" as const, shape: [1], values: [0.25] };
  const data = [
    ...each.inputs.flatMap((input, i) => (input && i < fed ? [{ ...input, name: `input${i}` }] : [])),
    extra,
  ];
  const feeds = Object.fromEntries(data.map(({ name, values }) => [name, values]));
  const expected = await run(
    { bytes, inputs: data.map(({ name }) => name) },
    new Map(data.map(({ name, type, shape }) => [name, { type, shape }])),
    feeds,
  );
  const { graph, outputs, inputs } = importModel(bytes);
  const own = encodeModel(graph, Object.fromEntries(outputs.map(({ name, tensor }) => [name, tensor])));
  const found = await run({ bytes: own, inputs: inputs.map(({ name }) => name) }, inputTypes(inputs), feeds);
  return [expected, found];
}

/** The results that differ, or are missing. */
function differences(found: Record<string, Float32Array>, expected: Record<string, Float32Array>): string[] {
  return Object.entries(expected).flatMap(([name, values]) => {
    const own = found[name] ?? [];
    const isClose = (value: number, i: number): boolean =>
      Object.is(own[i], value) || Math.abs((own[i] ?? Number.NaN) - value) < 1e-5;
    return own.length === values.length && values.every(isClose)
      ? []
      : [`${name}: [${own}], not [${values}]`];
  });
}

const title = ({ op, opset = 17, attributes = {}, inputs }: Case): string =>
  `${op}-${opset} ${JSON.stringify(attributes)} of ${inputs.map((each) => `${each?.type}[${each?.shape}]`).join(", ")}`;

describe("a node of a file", () => {
  const computed = CASES.filter(({ op }) => !SHAPES_ONLY.includes(op));
  it.each(computed.map((each) => [title(each), each] as const))(
    "%s: imported, computes what it computed",
    async (_, each) => {
      const [expected, found] = await both(each, 1);
      expect(differences(found, expected)).toEqual([]);
    },
  );

  it.each(RECURRENT.map((each) => [title(each), each] as const))(
    "%s: written out step by step, computes what it computed",
    async (_, each) => {
      for (const fed of [1, each.inputs.length]) {
        const [expected, found] = await both(each, fed);
        expect(differences(found, expected)).toEqual([]);
      }
    },
  );

  it.each(SHAPES_ONLY)("%s is read for shapes only, and refused by name elsewhere", (op) => {
    for (const each of CASES.filter((one) => one.op === op))
      expect(() => importModel(fileOf(each, 1))).toThrow(
        expect.objectContaining({
          code: "unsupported-operator",
          message: expect.stringContaining(`(${op})`),
        }),
      );
  });

  const folded = CASES.filter(({ op }) => op in FOLDS);
  it.each(folded.map((each) => [title(each), each] as const))(
    "%s: computed while importing, is what the runtime computes",
    async (_, each) => {
      const [expected, found] = await both(each, 0);
      expect(differences(found, expected)).toEqual([]);
      const { graph } = importModel(fileOf(each, 0));
      expect(graph.nodes.map(({ op }) => op)).toEqual(Array.from({ length: each.outputs ?? 1 }, () => "Add"));
    },
  );

  it("has a case here for everything that is computed while importing", () => {
    const covered = new Set(CASES.map(({ op }) => op));
    expect(Object.keys(FOLDS).filter((op) => !covered.has(op))).toEqual(["Constant"]);
  });
});
