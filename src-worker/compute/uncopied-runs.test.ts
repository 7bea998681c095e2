import { expect, it } from "vitest";
import { GraphBuilder } from "../../src-engine/graph-builder.ts";
import { closeGraph } from "../../src-engine/graph.ts";
import { NO_TENSOR } from "../../src-engine/no-tensor-first.ts";
import { OPERATORS } from "../../src-engine/operators.ts";
import { sessionOptions } from "./session-options.ts";
import { loadRuntime } from "./sessions.ts";
import type { Runtime } from "./sessions.ts";
import { UncopiedRuns } from "./uncopied-runs.ts";

const runtime = await loadRuntime();
const SIZE = 250_000;

/** y = a · a and z = a · b, element by element. */
function products() {
  const graph = new GraphBuilder(OPERATORS);
  const [a, b] = [graph.input("a", [SIZE]), graph.input("b", [SIZE])];
  return closeGraph(graph, { y: a.mul(a), z: a.mul(b) });
}

const filled = (value: number, size = SIZE) =>
  new runtime.Tensor("float32", new Float32Array(size).fill(value), [size]);

async function opened() {
  const uncopied = await UncopiedRuns.tried(runtime);
  if (uncopied === null) throw new Error("the binding does something else");
  const graph = uncopied.prepared(products());
  return { uncopied, session: await runtime.InferenceSession.create(graph.bytes, sessionOptions("fast", 1)) };
}

it("outputs are written where they are given memory, into the memory that was named for them", async () => {
  const { uncopied, session } = await opened();
  expect(uncopied.isFor(session)).toBe(true);
  const z = filled(0);
  const outputs = await uncopied.run(session, { a: filled(3), b: filled(5) }, { z });
  expect(Object.keys(outputs)).toEqual(["y"]);
  expect(outputs["y"]?.dims).toEqual([SIZE]);
  expect(new Set(outputs["y"]?.data as Float32Array)).toEqual(new Set([9]));
  expect(new Set(z.data as Float32Array)).toEqual(new Set([15]));
});

it("nothing is copied besides", async () => {
  const { uncopied, session } = await opened();
  const inputs = { a: filled(3), b: filled(5) };
  const z = filled(0);
  await uncopied.run(session, inputs, { z });
  const before = process.memoryUsage().arrayBuffers;
  const held = [];
  for (let i = 0; i < 8; i++) held.push(await uncopied.run(session, inputs, { z }));
  const each = (process.memoryUsage().arrayBuffers - before) / held.length;
  // One output of a megabyte in each run, where a copy of it and of the named one would make it three.
  expect(each).toBeLessThan(1.5 * 4 * SIZE);
});

it("a run that fails says why", async () => {
  const { uncopied, session } = await opened();
  await expect(uncopied.run(session, { a: filled(3), b: filled(5, 2) }, {})).rejects.toThrow(/b/);
  await expect(uncopied.run(session, { a: filled(3) }, {})).rejects.toThrow(/'b' is missing/);
});

it("a binding that copies nothing on its own, or says that it cannot before it has run, is left alone", async () => {
  const like = (run: () => Promise<object>): Runtime =>
    ({
      ...runtime,
      InferenceSession: { create: async () => ({ run, release: async () => undefined }) },
    }) as unknown as Runtime;
  expect(await UncopiedRuns.tried(like(async () => ({})))).toBeNull();
  const refuses = like(async () => {
    throw new Error("an output must be a tensor");
  });
  expect(await UncopiedRuns.tried(refuses)).toBeNull();
});

it("a runtime that knows no such output is left alone", async () => {
  const create = async () => {
    throw new Error("SequenceEmpty is not known");
  };
  const other = { ...runtime, InferenceSession: { create } } as unknown as Runtime;
  expect(await UncopiedRuns.tried(other)).toBeNull();
});

it("a graph with something of the output's own name stays as it is", async () => {
  const { uncopied } = await opened();
  const graph = new GraphBuilder(OPERATORS);
  const own = closeGraph(graph, { [NO_TENSOR]: graph.input("a", [2]).neg() });
  expect(uncopied.prepared(own)).toBe(own);
});
