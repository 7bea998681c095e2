import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { cutGraph } from "../cut.ts";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
} from "../onnx_pb.js";
import { DEFAULT_NODE } from "../plan.ts";
import { randomStream } from "../random.ts";
import { sizeOf } from "../shape.ts";
import { FOLDS } from "./fold.ts";
import { fixture, inputTypes, run } from "./golden.test-support.ts";
import { importModel, type ImportedModel } from "./import-model.ts";

const SIZES = { batch: 2, sequence: 5 };
const FAR = [
  0,
  1,
  -1,
  2,
  -2,
  7,
  63,
  255,
  -129,
  65_536,
  2 ** 31 - 1,
  -(2 ** 31),
  2 ** 40,
  Number.MAX_SAFE_INTEGER,
];

type Random = () => number;
const pick = <T>(random: Random, of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
const below = (random: Random, end: number): number => Math.floor(random() * end);

/** Bytes changed, cut out, repeated, or cut off. */
function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  const result = Uint8Array.from(bytes);
  const at = below(random, bytes.length);
  const length = 1 + below(random, 24);
  switch (below(random, 5)) {
    case 0:
      return result.subarray(0, at);
    case 1:
      return Uint8Array.from([...result.subarray(0, at), ...result.subarray(at + length)]);
    case 2:
      return Uint8Array.from([...result.subarray(0, at + length), ...result.subarray(at)]);
    default:
      for (let i = 0; i < length; i++) result[below(random, bytes.length)] = below(random, 256);
      return result;
  }
}

/** A model whose parts are well formed, but say something else. */
function misstated(bytes: Uint8Array, random: Random): Uint8Array {
  const model = fromBinary(ModelProtoSchema, bytes);
  for (let change = 0; change <= below(random, 3); change++) misstate(model, random);
  return toBinary(ModelProtoSchema, model);
}

/** Those of functions, and inside of branches and loops, too. */
function nodesOf(nodes: readonly NodeProto[]): NodeProto[] {
  return nodes.flatMap((node) => [node, ...nodesOf(node.attribute.flatMap(({ g }) => g?.node ?? []))]);
}

function misstate({ graph, opsetImport, functions }: ModelProto, random: Random): void {
  if (!graph) return;
  const nodes = nodesOf([...graph.node, ...functions.flatMap((each) => each.node)]);
  const node = pick(random, nodes);
  const other = pick(random, nodes);
  const names = [
    ...nodes.flatMap(({ output }) => output),
    ...graph.initializer.map(({ name }) => name),
    "",
    "?",
  ];
  const tensors = [
    ...graph.initializer,
    ...nodes.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? [])),
  ];
  const tensor = pick(random, tensors);
  const far = pick(random, FAR);
  switch (below(random, 13)) {
    case 0:
      node.opType = pick(random, [
        ...Object.keys(FOLDS),
        ...graph.node.map(({ opType }) => opType),
        "Shape",
        "Loop",
        "",
      ]);
      return;
    case 1:
      node.input[below(random, node.input.length + 1)] = pick(random, names);
      return;
    case 2:
      node.output[below(random, node.output.length)] = pick(random, names);
      return;
    case 3:
      node.input.splice(below(random, node.input.length), 1);
      return;
    case 4:
      // Without graphs: one inside of itself is no file.
      node.attribute.splice(
        below(random, node.attribute.length + 1),
        1,
        ...other.attribute.filter(({ g }) => !g),
      );
      return;
    case 5:
      for (const attribute of node.attribute) disturb(attribute, random);
      return;
    case 6:
      node.attribute.push(
        create(AttributeProtoSchema, {
          name: pick(random, ["axis", "axes", "to", "perm", "keepdims", "value_int", "group", "epsilon"]),
          type: AttributeProto_AttributeType.INT,
          i: BigInt(far),
        }),
      );
      return;
    case 7:
      tensor.dims[below(random, tensor.dims.length + 1)] = BigInt(far);
      return;
    case 8:
      tensor.dataType = below(random, 26);
      return;
    case 9: {
      const changed = Uint8Array.from(tensor.rawData);
      // Small numbers are shapes and axes: the most telling ones to change.
      if (changed.length > 0) changed[below(random, changed.length)] = pick(random, [0, 1, 255, 127, 128]);
      tensor.rawData = changed;
      return;
    }
    case 10: {
      const dims = graph.input[0]?.type?.value;
      if (dims?.case === "tensorType") {
        for (const dim of dims.value.shape?.dim ?? [])
          if (random() < 0.5) dim.value = { case: "dimValue", value: BigInt(far) };
        if (random() < 0.2) dims.value.elemType = below(random, 20);
      }
      return;
    }
    case 11:
      graph.node.splice(
        below(random, graph.node.length),
        1,
        ...(random() < 0.5 ? [create(NodeProtoSchema, { ...other, name: "again" })] : []),
      );
      return;
    default:
      for (const each of opsetImport)
        each.version = BigInt(pick(random, [0, 6, 7, 9, 11, 12, 13, 18, 21, 23, 99, far]));
  }
}

function disturb(attribute: AttributeProto, random: Random): void {
  attribute.i = BigInt(pick(random, FAR));
  attribute.ints = attribute.ints.map((each) => (random() < 0.5 ? each : BigInt(pick(random, FAR))));
  if (random() < 0.3) attribute.ints.push(BigInt(pick(random, FAR)));
  if (random() < 0.2) attribute.type = below(random, 15) as AttributeProto_AttributeType;
}

const ENOUGH = { ...DEFAULT_NODE, memoryBytes: Number.POSITIVE_INFINITY };
/** What may still be said of a graph that was imported; all else is a fault of the engine. */
const LATER_REFUSALS = new Set(["not-differentiable", "bad-shape"]);

/** What the engine makes of a file; what is not a Failure is a fault of the engine. */
function outcome(bytes: Uint8Array): ImportedModel | Failure {
  let imported: ImportedModel | null = null;
  try {
    imported = importModel(bytes, { sizes: SIZES });
    const [stage] = cutGraph(imported, { stages: 1, nodes: [ENOUGH] });
    stage?.forward();
    return imported;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const isFault = error.code === "import-failed" || (imported !== null && !LATER_REFUSALS.has(error.code));
    return isFault
      ? new Failure("fault", String((error.cause as Error | undefined)?.stack ?? error.stack))
      : error;
  }
}

async function runs(model: ImportedModel): Promise<void> {
  const [stage] = cutGraph(model, { stages: 1, nodes: [ENOUGH] });
  if (!stage) throw new Error("no stage");
  const stored = [...model.parameters, ...model.tables];
  const feeds = [
    ...model.inputs.map(({ name, tensor }) => [name, new Float32Array(sizeOf(tensor.shape))] as const),
    ...stored.map(({ name, read }) => [name, read()] as const),
  ];
  await run(stage.forward(), inputTypes([...model.inputs, ...stored]), Object.fromEntries(feeds));
}

const CAMPAIGNS = [
  { name: "mlp", files: 3400 },
  { name: "resnet-eval", files: 1200 },
  { name: "shapes", files: 1000 },
  { name: "lstm-old", files: 300 },
  { name: "functions", files: 600 },
  { name: "lists", files: 500 },
  { name: "turns", files: 400 },
  { name: "scan", files: 400 },
  { name: "bag", files: 300 },
  { name: "images", files: 600 },
  { name: "keras-cnn", files: 400 },
  { name: "attentive", files: 500 },
  { name: "llama-tied", files: 200 },
  { name: "bert", files: 100 },
  { name: "keras-text", files: 100 },
];

/** Of this thread: what else runs on the computer does not count. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

describe("10,000 damaged and misstated files", () => {
  it.each(CAMPAIGNS)(
    "$name: each of $files is refused with a code and a sentence, or becomes a graph",
    async ({ name, files }) => {
      const bytes = fixture(name);
      const random = randomStream("import/fuzz.test", name);
      const codes: Record<string, number> = {};
      const faults = new Map<string, number>();
      let [slowest, mostBytes] = [0, 0];
      const accepted: ImportedModel[] = [];
      for (let i = 0; i < files; i++) {
        const file = i % 3 === 0 ? damaged(bytes, random) : misstated(bytes, random);
        const start = cpuMs();
        const found = outcome(file);
        slowest = Math.max(slowest, cpuMs() - start);
        const { heapUsed, arrayBuffers } = process.memoryUsage();
        mostBytes = Math.max(mostBytes, heapUsed + arrayBuffers);
        const code = found instanceof Failure ? found.code : "accepted";
        codes[code] = (codes[code] ?? 0) + 1;
        if (found instanceof Failure && code === "fault") faults.set(found.message.slice(0, 1600), i);
        else if (found instanceof Failure) {
          if (!/^.{41,2000}$/s.test(found.message))
            faults.set(`"${found.message}" is not a clear sentence`, i);
        } else if (codes[code] % 40 === 0) accepted.push(found);
      }
      expect([...faults].map(([fault, file]) => `file ${file}: ${fault}`)).toEqual([]);
      expect(slowest).toBeLessThan(3000);
      expect(mostBytes).toBeLessThan(1e9);
      expect(Object.keys(codes).length).toBeGreaterThan(4);
      for (const model of accepted) await runs(model);
    },
    120_000,
  );
});
