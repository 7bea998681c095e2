import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { differentiate } from "../src-engine/differentiate.ts";
import { closeGraph } from "../src-engine/graph.ts";
import { GraphBuilder } from "../src-engine/graph-builder.ts";
import { fixture, golden } from "../src-engine/import/golden.test-support.ts";
import { importModel } from "../src-engine/import/import-model.ts";
import { OPERATORS, type OperatorName } from "../src-engine/operators.ts";
import { feedsFor, tensorsOf } from "../src-engine/operators/case-feeds.test-support.ts";
import { CASES, type Case } from "../src-engine/operators/cases.test-support.ts";
import { randomStream } from "../src-engine/random.ts";
import { stagesOf } from "../src-engine/stages.ts";
import type { Tensor } from "../src-engine/tensor.ts";
import { type Arithmetic, ARITHMETICS, kernelsFor } from "../src-protocol/arithmetic.ts";
import { failureBody } from "../src-protocol/failure.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import type { BitsCase, BitsFeed } from "./bits-case.ts";

const CASES_OF_AN_OPERATOR = 3;
const NETWORKS = ["gpt2-tied", "bert", "vit", "resnet"] as const;

/** Writes every case into `folder`; `refused` are those that the class exact does not take. */
export function writeCases(folder: string): { cases: BitsCase[]; refused: string[] } {
  const cases: BitsCase[] = [];
  const refused: string[] = [];
  const add = (name: string, make: (arithmetic: Arithmetic) => Made): void => {
    for (const arithmetic of ARITHMETICS) {
      try {
        const { bytes, outputs, level, feeds } = make(arithmetic);
        const file = `${cases.length}.onnx`;
        writeFileSync(join(folder, file), bytes);
        cases.push({ name, arithmetic, level, file, outputs: [...outputs], feeds });
      } catch (error) {
        if (failureBody(error).code !== "not-exact") throw error;
        refused.push(name);
      }
    }
  };
  for (const [op, drawn] of Object.entries(CASES) as [OperatorName, fc.Arbitrary<Case>][]) {
    const sampled = fc.sample(drawn, { seed: 9, numRuns: CASES_OF_AN_OPERATOR });
    for (const [i, each] of sampled.entries())
      add(`${op} ${i}`, (arithmetic) => operatorCase(op, each, i, arithmetic));
  }
  for (const [name, build] of Object.entries(LARGER))
    add(`${name} larger`, (arithmetic) => largerCase(build, arithmetic));
  for (const kind of ["forward", "backward"] as const)
    add(`Llama block ${kind}`, (arithmetic) => blockCase(kind, arithmetic));
  for (const name of NETWORKS) add(`network ${name}`, (arithmetic) => networkCase(name, arithmetic));
  writeFileSync(join(folder, "cases.json"), JSON.stringify({ cases }));
  return { cases, refused };
}

interface Made extends Pick<BitsCase, "level"> {
  bytes: Uint8Array;
  outputs: readonly string[];
  feeds: BitsFeed[];
}

function withGradients(graph: GraphBuilder, outputs: readonly Tensor[], targets: readonly Tensor[]) {
  const floats = outputs.filter(({ type }) => type === graph.float);
  const seeds = new Map(floats.map((y, i) => [y, graph.input(`dy${i}`, y.shape)]));
  const gradients = floats.length > 0 && targets.length > 0 ? differentiate(graph, seeds, targets) : [];
  return Object.fromEntries([
    ...outputs.map((y, i) => [`y${i}`, y] as const),
    ...gradients.map((gradient, i) => [`d${i}`, gradient] as const),
  ]);
}

function operatorCase(
  op: OperatorName,
  { inputs, attributes, differentiated }: Case,
  seed: number,
  arithmetic: Arithmetic,
): Made {
  const graph = new GraphBuilder(OPERATORS);
  const tensors = tensorsOf(graph, inputs);
  const outputs = graph.applyAll(op, tensors, attributes).slice(0, differentiated);
  const targets = tensors.filter((_, i) => !("constant" in (inputs[i] ?? {})));
  const made = closeGraph(graph, withGradients(graph, outputs, targets), graph.inputs, arithmetic);
  const feeds = Object.entries(feedsFor(graph, inputs, randomStream("bits", op, seed))).map(
    ([name, { shape, data, type }]) => ({
      name,
      type: type as BitsFeed["type"],
      shape: [...shape],
      values: data,
    }),
  );
  return { bytes: made.bytes, outputs: made.outputs, feeds };
}

/** Sizes at which threads, and long sums, matter. */
const LARGER: Readonly<Record<string, (input: (...shape: number[]) => Tensor) => Tensor>> = {
  MatMul: (input) => input(128, 704).matmul(input(704, 256)),
  "MatMul one row": (input) => input(1, 300).matmul(input(300, 200)),
  "MatMul one column": (input) => input(200, 300).matmul(input(300, 1)),
  "MatMul few rows": (input) => input(16, 8192).matmul(input(8192, 16)),
  "MatMul stacks": (input) => input(4, 40, 200).matmul(input(4, 200, 90)),
  Softmax: (input) => input(64, 300).softmax(),
  LogSoftmax: (input) => input(64, 300).logSoftmax(),
  ReduceMean: (input) => input(40, 333).mean(-1),
  "ReduceSum middle": (input) => input(6, 100, 40).sum(1),
  Log: (input) => input(1000).mul(input(1000)).add(0.5).log(),
  Sin: (input) =>
    input(1000)
      .mul(9)
      .graph.apply("Sin", [input(1000).mul(9)]),
  Cos: (input) => {
    const x = input(1000).mul(9);
    return x.graph.apply("Cos", [x]);
  },
  Softplus: (input) => {
    const x = input(1000).mul(9);
    return x.graph.apply("Softplus", [x]);
  },
  Sigmoid: (input) => input(1003).mul(9).sigmoid(),
  Tanh: (input) => input(1003).mul(3).tanh(),
  Erf: (input) => input(1003).mul(3).erf(),
  Exp: (input) => input(1003).mul(9).exp(),
  LayerNormalization: (input) => {
    const x = input(64, 200);
    return x.graph.apply("LayerNormalization", [x, input(200), input(200)]);
  },
  Gelu: (input) => {
    const x = input(64, 200).mul(4);
    return x.graph.apply("Gelu", [x]);
  },
  Conv: (input) => {
    const x = input(2, 64, 14, 14);
    return x.graph.apply("Conv", [x, input(32, 64, 3, 3)], { pads: [1, 1, 1, 1] });
  },
  "Conv depthwise": (input) => {
    const x = input(2, 32, 14, 14);
    return x.graph.apply("Conv", [x, input(32, 1, 3, 3)], { pads: [1, 1, 1, 1], group: 32 });
  },
  "Conv strided": (input) => {
    const x = input(2, 3, 32, 32);
    return x.graph.apply("Conv", [x, input(16, 3, 7, 7)], { pads: [3, 3, 3, 3], strides: [2, 2] });
  },
  AveragePool: (input) => {
    const x = input(2, 16, 14, 14);
    return x.graph.apply("AveragePool", [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  },
};

function largerCase(build: (input: (...shape: number[]) => Tensor) => Tensor, arithmetic: Arithmetic): Made {
  const graph = new GraphBuilder(OPERATORS);
  const inputs: Tensor[] = [];
  const y = build((...shape) => {
    const tensor = graph.input(`x${inputs.length}`, shape);
    inputs.push(tensor);
    return tensor;
  });
  return drawnCase(graph, withGradients(graph, [y], inputs), arithmetic);
}

function drawnCase(
  graph: GraphBuilder,
  outputs: Readonly<Record<string, Tensor>>,
  arithmetic: Arithmetic,
): Made {
  const made = closeGraph(graph, outputs, graph.inputs, arithmetic);
  const feeds = [...graph.inputs].map(([{ shape }, name]) => ({
    name,
    type: "float32" as const,
    shape: [...shape],
    drawn: 2,
  }));
  return { bytes: made.bytes, outputs: made.outputs, feeds };
}

/** A block of the default model, at a quarter of its tokens. */
function blockCase(kind: "forward" | "backward", arithmetic: Arithmetic): Made {
  const run = { model: DEFAULT_MODEL, batch: 1, sequence: 128, stages: 3, arithmetic };
  const stage = stagesOf(run, null)[1];
  if (!stage) throw new RangeError("no stage");
  const { bytes, outputs, inputs } = stage[kind]();
  const shapes = new Map(stage.parameters.map(({ name, shape }) => [name, shape]));
  const feeds = inputs.map((name) => ({
    name,
    type: "float32" as const,
    shape: [...(shapes.get(name) ?? stage.input ?? [])],
    drawn: name === "x" ? 2 : 0.2,
  }));
  return { bytes, outputs, feeds };
}

/** A network from PyTorch, with its own parameters: output and every gradient. */
function networkCase(name: (typeof NETWORKS)[number], arithmetic: Arithmetic): Made {
  const { graph, outputs, parameters, tables } = importModel(fixture(name), {
    sizes: { batch: 2, sequence: 6 },
  });
  const numbers = golden(name);
  const results = withGradients(
    graph,
    outputs.slice(0, 1).map(({ tensor }) => tensor),
    parameters.map(({ tensor }) => tensor),
  );
  const made = closeGraph(graph, results, graph.inputs, arithmetic);
  const values = new Map<string, ArrayLike<number>>([
    ...Object.entries(numbers.inputs),
    ...[...parameters, ...tables].map((each) => [each.name, each.read()] as const),
    ["dy0", numbers.dy],
  ]);
  const tensors = new Map([...graph.inputs].map(([tensor, each]) => [each, tensor]));
  const feeds = made.inputs.map((each) => ({
    name: each,
    type: tensors.get(each)?.type as BitsFeed["type"],
    shape: [...(tensors.get(each)?.shape ?? [])],
    values: Array.from(values.get(each) ?? []),
  }));
  const { level } = kernelsFor(arithmetic, { kind: "onnx" });
  return { bytes: made.bytes, outputs: made.outputs, level, feeds };
}
