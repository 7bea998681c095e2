import { afterEach, expect, it } from "vitest";
import type { Recompute } from "../../src-engine/recompute.ts";
import { Compute } from "./compute.ts";
import { stageBytes } from "../stage/stage-memory.ts";
import { tinyRun } from "../tiny-run.test-support.ts";

const spec = tinyRun();
let compute: Compute;
afterEach(() => compute.close());

async function loaded(stage: number, recompute: Recompute = "full"): Promise<SharedArrayBuffer> {
  compute = new Compute({ threads: 1, executionProvider: "cpu", niceness: null });
  const { answer: info } = await compute.call("open", { spec: { ...spec, stage }, file: null });
  const memory = new SharedArrayBuffer(stageBytes(info));
  await compute.call("load", { memory, seed: spec.seed, recompute });
  return memory;
}

const activations = (): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: spec.batch * spec.sequence * 32 }, (_, i) => Math.sin(i));

it("an optimiser step changes the shared parameters in place, and the next forward sees them", async () => {
  const memory = await loaded(1);
  const before = new Uint8Array(memory).slice();
  const first = await compute.call("forward", { microBatch: 0, x: activations(), data: {}, keep: true });
  await compute.call("backward", { microBatch: 0, dy: activations() });
  await compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 1 });
  expect(new Uint8Array(memory).slice()).not.toEqual(before);
  const second = await compute.call("forward", { microBatch: 1, x: activations(), data: {}, keep: false });
  expect(second.answer.output).not.toEqual(first.answer.output);
});

it.each([
  [1e25, "gradient-overflow"],
  [Number.NaN, "gradient-not-finite"],
])("gradients of a peer that sends %s leave the parameters as they were", async (value, code) => {
  const memory = await loaded(1);
  const before = new Uint8Array(memory).slice();
  await compute.call("forward", { microBatch: 0, x: activations(), data: {}, keep: true });
  await compute.call("backward", { microBatch: 0, dy: activations().fill(value) });
  await expect(
    compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 1 }),
  ).rejects.toMatchObject({ code });
  expect(new Uint8Array(memory).slice()).toEqual(before);
  // Nothing of them is left for the step that is done again.
  await expect(
    compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 1 }),
  ).rejects.toMatchObject({ code: "no-gradients" });
});

it("gradients of a step that was broken off never reach the optimiser", async () => {
  const step = async (brokenOff: boolean): Promise<Float32Array> => {
    const memory = await loaded(1, "selective");
    if (brokenOff) {
      for (const microBatch of [0, 1])
        await compute.call("forward", { microBatch, x: activations(), data: {}, keep: true });
      await compute.call("backward", { microBatch: 0, dy: activations().fill(0.3) });
      await compute.call("reset", {});
    }
    await compute.call("forward", { microBatch: 0, x: activations(), data: {}, keep: true });
    await compute.call("backward", { microBatch: 0, dy: activations() });
    await compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 1 });
    await compute.close();
    return new Float32Array(memory);
  };
  expect(await step(true)).toEqual(await step(false));
});

it("what goes wrong in ONNX Runtime or out of order is a Failure, and the thread goes on", async () => {
  await loaded(1);
  const short = new Float32Array(3);
  await expect(
    compute.call("forward", { microBatch: 0, x: short, data: {}, keep: true }),
  ).rejects.toMatchObject({
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
  const { answer } = await compute.call("forward", { microBatch: 0, x: activations(), data: {}, keep: true });
  expect(answer.output).toHaveLength(activations().length);
});

it("calls fail with a sentence when the thread is gone", async () => {
  await loaded(1);
  const waiting = compute.call("reset", {});
  await compute.close();
  await expect(waiting.then(() => compute.call("reset", {}))).rejects.toMatchObject({ code: "compute-lost" });
});

it("gradients are the same whether the forward's products were kept or are computed again", async () => {
  const run = async (
    recompute: Recompute,
  ): Promise<{ dx: Float32Array | null; parameters: Float32Array }> => {
    const memory = await loaded(1, recompute);
    for (const microBatch of [0, 1]) {
      await compute.call("forward", { microBatch, x: activations(), data: {}, keep: true });
    }
    const first = await compute.call("backward", { microBatch: 0, dy: activations() });
    await compute.call("backward", { microBatch: 1, dy: activations().fill(0.01) });
    await compute.call("optimise", { optimizer: spec.optimizer, step: 0, microBatches: 2 });
    await compute.close();
    return { dx: first.answer.output, parameters: new Float32Array(memory) };
  };
  const [full, selective] = [await run("full"), await run("selective")];
  expect(selective).toEqual(full);
});
