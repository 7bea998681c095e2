import type { Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import type { Graph } from "../src-engine/graph.ts";
import { randomStream } from "../src-engine/random.ts";
import { stagesOf } from "../src-engine/stages.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { sha256 } from "../src-protocol/signing.ts";
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

  it.each([
    ["forward", stage.forward()],
    ["backward", stage.backward()],
  ])("gives the same bits on any number of threads and at any level: %s", async (_, graph) => {
    const first = await digest(graph, 1);
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
