import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Arithmetic } from "../../src-protocol/arithmetic.ts";
import { differentiate } from "../differentiate.ts";
import type { ElementType } from "../element-type.ts";
import { closeGraph, type Graph } from "../graph.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { ImportedModel } from "./import-model.ts";

process.env["ORT_DISABLE_TELEMETRY"] = "1";
const ort = await import("onnxruntime-node");

const FIXTURES = join(import.meta.dirname, "..", "fixtures");

/** What the scripts in bench/peers wrote down: another framework's own numbers for a model. */
export interface Golden {
  /** By the name of the model's input. */
  inputs: Feeds;
  output: { shape: readonly number[]; data: Float32Array };
  dy: Float32Array;
  /** By that framework's names of the parameters, or the file's where an exporter renames them. */
  gradients: ReadonlyMap<string, Float32Array>;
}

interface Stored {
  shape: number[];
  integers?: number[];
  base64?: string;
}

export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FIXTURES, `${name}.onnx`)));
}

export function golden(name: string): Golden {
  const { inputs, output, dy, gradients } = JSON.parse(
    readFileSync(join(FIXTURES, `${name}.json`), "utf8"),
  ) as {
    inputs: Record<string, Stored>;
    output: { shape: number[]; base64: string };
    dy: string;
    gradients: Record<string, string>;
  };
  const numbers = ({ integers, base64 = "" }: Stored): ArrayLike<number> => integers ?? floats(base64);
  return {
    inputs: Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, numbers(value)])),
    output: { shape: output.shape, data: floats(output.base64) },
    dy: floats(dy),
    gradients: new Map(Object.entries(gradients).map(([key, text]) => [key, floats(text)])),
  };
}

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, "base64")).buffer);
}

/** |a - b| / |b|, in the Euclidean norm. */
export function relativeError(found: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  if (found?.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((found[i] ?? 0) - (expected[i] ?? 0)) ** 2;
    norm += (expected[i] ?? 0) ** 2;
  }
  return Math.sqrt(difference / Math.max(norm, 1e-30));
}

export type Feeds = Readonly<Record<string, ArrayLike<number>>>;

/** What a graph's inputs are, for `run`. */
export type InputTypes = ReadonlyMap<string, { type: ElementType; shape: readonly number[] }>;

export function inputTypes(rows: readonly { name: string; tensor: Tensor }[]): InputTypes {
  return new Map(rows.map(({ name, tensor }) => [name, tensor]));
}

/** Runs a graph on the CPU provider, with the feeds that it has inputs for. */
export async function run(
  { bytes, inputs }: Pick<Graph, "bytes" | "inputs">,
  types: InputTypes,
  feeds: Feeds,
): Promise<Record<string, Float32Array>> {
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel: "basic",
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const tensors = inputs.map((name) => {
    const [type, data] = [types.get(name), feeds[name]];
    if (!type || !data || data.length !== sizeOf(type.shape)) throw new RangeError(`no numbers for ${name}`);
    return [name, tensorOf(type.type, type.shape, Array.from(data))] as const;
  });
  const results = await session.run(Object.fromEntries(tensors));
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [name, Float32Array.from(data as Float32Array)]),
  );
}

function tensorOf(type: ElementType, shape: readonly number[], data: readonly number[]) {
  switch (type) {
    case "int64":
      return new ort.Tensor("int64", BigInt64Array.from(data.map(BigInt)), shape);
    case "int32":
      return new ort.Tensor("int32", Int32Array.from(data), shape);
    case "bool":
      return new ort.Tensor("bool", Uint8Array.from(data), shape);
    case "float32":
    case "float64":
      return new ort.Tensor("float32", Float32Array.from(data), shape);
  }
}

/** The first output, and gradients of Σ output ⊙ dy by parameter. */
export async function evaluate(
  { graph, inputs, outputs, parameters, tables }: ImportedModel,
  numbers: Golden,
  arithmetic: Arithmetic = "fast",
): Promise<{ output: Float32Array | undefined; gradients: Record<string, Float32Array> }> {
  const [output] = outputs;
  if (!output) throw new Error("nothing to run");
  const dy = { name: "dy", tensor: graph.input("dy", output.tensor.shape) };
  const gradients = differentiate(
    graph,
    new Map([[output.tensor, dy.tensor]]),
    parameters.map(({ tensor }) => tensor),
  );
  const stored = [...parameters, ...tables];
  const results = [
    ["output", output.tensor] as const,
    ...parameters.map(({ name }, i) => [`d_${name}`, gradients[i] ?? dy.tensor] as const),
  ];
  const found = await run(
    closeGraph(graph, Object.fromEntries(results), graph.inputs, arithmetic),
    inputTypes([...inputs, ...stored, dy]),
    {
      ...numbers.inputs,
      dy: numbers.dy,
      ...Object.fromEntries(stored.map(({ name, read }) => [name, read()])),
    },
  );
  return {
    output: found["output"],
    gradients: Object.fromEntries(
      parameters.map(({ name }) => [name, found[`d_${name}`] ?? new Float32Array()]),
    ),
  };
}
