import type { Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import type { Graph } from "../../src-engine/graph.ts";
import { randomStream } from "../../src-engine/random.ts";
import { stagesOf } from "../../src-engine/stages.ts";
import { DEFAULT_MODEL } from "../../src-protocol/model.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { Compute } from "./compute.ts";
import { exactAnswer, holdsExact } from "./exact-answer.ts";
import { sessionOptions } from "./session-options.ts";
import { loadRuntime } from "./sessions.ts";

const runtime = await loadRuntime();
type Level = Parameters<typeof sessionOptions>[2];

/** A block of width 256 as the default run trains it, with 128 tokens: threads change its sums. */
const run = { model: { ...DEFAULT_MODEL, vocabulary: 64 }, batch: 2, sequence: 64, stages: 3 };

function feeds(graph: Graph, shapes: readonly (readonly number[])[]): Record<string, Tensor> {
  return Object.fromEntries(
    graph.inputs.map((name, i) => {
      const shape = shapes[i] ?? [];
      const random = randomStream("exact", name);
      const size = shape.reduce((a, b) => a * b, 1);
      const values = Float32Array.from({ length: size }, () => (random() - 0.5) * (name === "x" ? 2 : 0.15));
      return [name, new runtime.Tensor("float32", values, shape)];
    }),
  );
}

async function digest(graph: Graph, threads: number, level?: Level): Promise<string> {
  const options = sessionOptions(graph.arithmetic, threads, level);
  const session = await runtime.InferenceSession.create(graph.bytes, options);
  try {
    const shapes = session.inputMetadata.map((each) => (each.isTensor ? each.shape.map(Number) : []));
    const outputs = await session.run(feeds(graph, shapes));
    return sha256(
      graph.outputs.map((name) => sha256(bytesOf(outputs[name]?.data as Float32Array))).join("\n"),
    );
  } finally {
    await session.release();
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

describe("a stage in the class exact", () => {
  const stage = stagesOf({ ...run, arithmetic: "exact" }, null)[1];
  if (!stage) throw new Error("no stage");

  // Of all outputs, found with AVX2, and with NEON and Haswell under emulation.
  it.each([
    ["forward", stage.forward(), "e1f4a93a2b969d808f6e65c54976c0b81a87842fa6dba70ab27c0d022fb13212"],
    ["backward", stage.backward(), "69eec34bb4f0b8b693fee57c073db88adf46a6e6328b46e8abfd995a9af062b1"],
  ])("gives the known bits on any number of threads and at any level: %s", async (_, graph, known) => {
    const first = await digest(graph, 1);
    expect(first).toBe(known);
    for (const threads of [2, 4, 16]) expect(await digest(graph, threads)).toBe(first);
    for (const level of ["disabled", "basic", "all"] as const)
      expect(await digest(graph, 2, level)).toBe(first);
  });

  it("is not what the class fast gives, which depends on the level", async () => {
    const fast = stagesOf(run, null)[1]?.forward();
    if (!fast) throw new Error("no stage");
    expect(await digest(fast, 1, "disabled")).not.toBe(await digest(fast, 1, "all"));
  });
});

describe("the known answer of the class exact", () => {
  it.each([1, 2, 5])("is given on this computer with %i threads", async (threads) => {
    const compute = new Compute({ threads, executionProvider: "cpu", niceness: null });
    try {
      expect(await holdsExact(compute)).toBe(true);
    } finally {
      await compute.close();
    }
  });

  it("is that of 20 steps too: every parameter, bit for bit", async () => {
    const compute = new Compute({ threads: 2, executionProvider: "cpu", niceness: null });
    try {
      expect(await exactAnswer(compute, 20)).toBe(
        "0a8bfe30b1fe5aaee233cb74efe589ddfd7c786a9149f2466f91410e029c7d9e",
      );
    } finally {
      await compute.close();
    }
  });

  it("is not given by a computer whose numbers differ in one bit", async () => {
    const compute = new Compute({ threads: 1, executionProvider: "cpu", niceness: null });
    const call = async (...request: Parameters<Compute["call"]>): Promise<unknown> => {
      const computed = await compute.call(...request);
      const { answer } = computed as { answer: { loss?: number } | null };
      if (answer?.loss !== undefined) answer.loss *= 1 + 2 ** -22;
      return computed;
    };
    try {
      expect(await holdsExact({ call: call as Compute["call"] })).toBe(false);
    } finally {
      await compute.close();
    }
  });

  it("gives each sequence the same wherever it stands in the batch", async () => {
    const stage = stagesOf({ ...run, arithmetic: "exact" }, null)[1];
    const graph = stage?.forward();
    if (!graph) throw new Error("no stage");
    const session = await runtime.InferenceSession.create(graph.bytes, sessionOptions("exact", 2));
    const shapes = session.inputMetadata.map((each) => (each.isTensor ? each.shape.map(Number) : []));
    const given = feeds(graph, shapes);
    const x = given["x"]?.data as Float32Array;
    const half = x.length / 2;
    const turned = Float32Array.from([...x.subarray(half), ...x.subarray(0, half)]);
    const rows = given["x"]?.dims ?? [];
    const [y] = Object.values(await session.run(given));
    const [z] = Object.values(
      await session.run({ ...given, x: new runtime.Tensor("float32", turned, rows) }),
    );
    await session.release();
    const [first, second] = [y?.data as Float32Array, z?.data as Float32Array];
    expect(sha256(bytesOf(second.subarray(half)))).toBe(sha256(bytesOf(first.subarray(0, half))));
    expect(sha256(bytesOf(second.subarray(0, half)))).toBe(sha256(bytesOf(first.subarray(half))));
  });
});
