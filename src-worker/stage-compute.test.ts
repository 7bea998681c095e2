import { afterEach, expect, it } from "vitest";
import { cutModel } from "../src-engine/stage.ts";
import { Compute } from "./compute.ts";
import { stageBytes } from "./stage-memory.ts";
import { tinyRun } from "./tiny-run.test-support.ts";

const spec = tinyRun();
let compute: Compute;
afterEach(() => compute.close());

async function loaded(stage: number): Promise<SharedArrayBuffer> {
  compute = new Compute({ threads: 1, executionProvider: "cpu", niceness: null });
  const plan = cutModel(spec.model, spec.stages)[stage];
  const memory = new SharedArrayBuffer(plan === undefined ? 0 : stageBytes(plan));
  await compute.call("load", { spec: { ...spec, stage }, memory, seed: spec.seed });
  return memory;
}

const activations = (): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: spec.batch * spec.sequence * spec.model.width }, (_, i) => Math.sin(i));

it("an optimiser step changes the shared parameters in place, and the next forward sees them", async () => {
  const memory = await loaded(1);
  const before = new Uint8Array(memory).slice();
  const first = await compute.call("forward", { microBatch: 0, input: activations(), keep: true });
  await compute.call("backward", { microBatch: 0, dy: activations() });
  await compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 1 });
  expect(new Uint8Array(memory).slice()).not.toEqual(before);
  const second = await compute.call("forward", { microBatch: 1, input: activations(), keep: false });
  expect(second.answer.output).not.toEqual(first.answer.output);
});

it.each([1e25, Number.NaN])(
  "gradients of a peer that sends %s leave the parameters as they were",
  async (value) => {
    const memory = await loaded(1);
    const before = new Uint8Array(memory).slice();
    await compute.call("forward", { microBatch: 0, input: activations(), keep: true });
    await compute.call("backward", { microBatch: 0, dy: activations().fill(value) });
    await expect(
      compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 1 }),
    ).rejects.toMatchObject({ code: "gradient-overflow" });
    expect(new Uint8Array(memory).slice()).toEqual(before);
  },
);

it("what goes wrong in ONNX Runtime or out of order is a Failure, and the thread goes on", async () => {
  await loaded(1);
  const short = new Float32Array(3);
  await expect(compute.call("forward", { microBatch: 0, input: short, keep: true })).rejects.toMatchObject({
    name: "Failure",
  });
  await expect(compute.call("backward", { microBatch: 7, dy: activations() })).rejects.toMatchObject({
    code: "no-kept-input",
  });
  await expect(
    compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 1 }),
  ).rejects.toMatchObject({
    code: "no-gradients",
  });
  const { answer } = await compute.call("forward", { microBatch: 0, input: activations(), keep: true });
  expect(answer.output).toHaveLength(activations().length);
});

it("calls fail with a sentence when the thread is gone", async () => {
  await loaded(1);
  const waiting = compute.call("reset", {});
  await compute.close();
  await expect(waiting.then(() => compute.call("reset", {}))).rejects.toMatchObject({ code: "compute-lost" });
});
