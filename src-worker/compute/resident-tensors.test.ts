import type { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { adamwStep } from "../../src-engine/adamw.ts";
import { sumOfSquares } from "../../src-engine/clip-gradients.ts";
import { randomStream } from "../../src-engine/random.ts";
import { stagesOf } from "../../src-engine/stages.ts";
import type { ExecutionProvider } from "../../src-protocol/providers.ts";
import { staysThere } from "./parameter-home.ts";
import { ResidentTensors } from "./resident-tensors.ts";
import type { Prepare } from "./resident-tensors.ts";
import { loadRuntime } from "./sessions.ts";
import { stageMemory } from "../stage/stage-memory.ts";
import { tinyRun } from "../tiny-run.test-support.ts";

const runtime = await loadRuntime();
const spec = tinyRun();
const stage = stagesOf(spec, null)[1];
if (stage === undefined) throw new Error("the tiny run has three stages");
const [input, output] = [stage.input ?? [], stage.output ?? []];

const prepareOn =
  (provider: ExecutionProvider): Prepare =>
  ({ bytes, outputs }, resident) =>
    runtime.InferenceSession.create(bytes, {
      executionProviders: [provider],
      logSeverityLevel: 3,
      intraOpNumThreads: 1,
      preferredOutputLocation: Object.fromEntries(
        outputs.map((name) => [name, provider === "webgpu" && resident(name) ? "gpu-buffer" : "cpu"]),
      ),
    });

/** Null: it can be used here. Else why not. */
async function missing(provider: ExecutionProvider): Promise<string | null> {
  try {
    const session = await prepareOn(provider)(
      stage?.forward() ?? { bytes: new Uint8Array(), inputs: [], outputs: [], arithmetic: "fast" as const },
      () => false,
    );
    await session.release();
    return null;
  } catch (error) {
    if (/adapter/.test(String(error))) return "no WebGPU adapter";
    throw error;
  }
}

function drawn(name: string, shape: readonly number[], scale = 1): Float32Array<ArrayBuffer> {
  const next = randomStream(name);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * (2 * next() - 1));
}

const tensor = (values: Float32Array, shape: readonly number[]): Tensor =>
  new runtime.Tensor("float32", values, shape);

function initialMemory() {
  if (stage === undefined) throw new Error("no stage");
  const memory = stageMemory(stage);
  for (const [i, { name, shape }] of stage.parameters.entries())
    memory.parameters[i]?.set(drawn(name, shape, shape.length > 1 ? 0.1 : 1));
  return memory;
}

function distance(found: Float32Array, expected: Float32Array): number {
  let [difference, size] = [0, 0];
  for (const [i, value] of expected.entries()) {
    difference += ((found[i] ?? Number.NaN) - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(difference / size);
}

const values = (outputs: InferenceSession.OnnxValueMapType, name: string): Float32Array =>
  (outputs[name] as Tensor).data as Float32Array;

/** The processor's own memory shows that nothing is forgotten or mixed up; a card's, that it stays there. */
describe.each<ExecutionProvider>(["cpu", "webgpu"])("a stage that stays in the memory of: %s", (provider) => {
  it("trains to the same parameters as the loops over typed arrays, and gives them back", async ({
    skip,
  }) => {
    const why = await missing(provider);
    skip(why !== null, `skipped: ${why}`);
    const [own, reference] = [initialMemory(), initialMemory()];
    const prepare = prepareOn(provider);
    const home = await ResidentTensors.upload(runtime, prepare, stage, own, []);
    const forward = await prepare(stage.forward({ recompute: "selective" }), staysThere);
    const backward = await prepare(stage.backward({ recompute: "selective", accumulate: true }), staysThere);
    const plain = prepareOn("cpu");
    const wholeBackward = await plain(stage.backward(), () => false);
    for (let step = 0; step < 3; step++) {
      const sums = stage.parameters.map(({ size }) => new Float32Array(size));
      for (let microBatch = 0; microBatch < 2; microBatch++) {
        const x = drawn(`x ${step} ${microBatch}`, input);
        const dy = drawn(`dy ${step} ${microBatch}`, output, 0.01);
        const { y, ...kept } = await home.run(forward, { x: tensor(x, input) });
        expect((y as Tensor).location).toBe("cpu");
        const results = await home.run(backward, {
          x: tensor(x, input),
          dy: tensor(dy, output),
          ...(kept as Record<string, Tensor>),
        });
        for (const each of Object.values(kept)) (each as Tensor).dispose();
        expect(Object.keys(results)).toEqual(["dx"]);
        const parameters = Object.fromEntries(
          stage.parameters.map(({ name, shape }, i) => [
            name,
            tensor(reference.parameters[i] ?? new Float32Array(0), shape),
          ]),
        );
        const expected = await wholeBackward.run({
          ...parameters,
          x: tensor(x, input),
          dy: tensor(dy, output),
        });
        expect(distance(values(results, "dx"), values(expected, "dx"))).toBeLessThan(1e-5);
        for (const [i, { name }] of stage.parameters.entries())
          for (const [k, value] of values(expected, `d_${name}`).entries())
            (sums[i] as Float32Array)[k] = (sums[i]?.[k] ?? 0) + value;
      }
      expect(await home.squaredNorm()).toBeCloseTo(sumOfSquares(sums), 3);
      await home.optimise(spec.optimizer, step, 0.5);
      expect(home.hasGradients).toBe(false);
      adamwStep([...reference.parameters], sums, [...reference.m], [...reference.v], {
        plan: stage,
        optimizer: spec.optimizer,
        step,
        gradientScale: 0.5,
      });
    }
    expect(new Float32Array(own.buffer)).not.toEqual(new Float32Array(reference.buffer));
    await home.download();
    for (const section of ["parameters", "m", "v"] as const)
      for (const [i, { name }] of stage.parameters.entries())
        expect(
          distance(own[section][i] ?? new Float32Array(0), reference[section][i] ?? new Float32Array(0)),
          `${section} of ${name}`,
        ).toBeLessThan(1e-5);
    await home.dispose();
    for (const session of [forward, backward, wholeBackward]) await session.release();
  });

  it("lets gradient sums be read and replaced, and forgets them", async ({ skip }) => {
    const why = await missing(provider);
    skip(why !== null, `skipped: ${why}`);
    const home = await ResidentTensors.upload(runtime, prepareOn(provider), stage, initialMemory(), []);
    const shape = stage.parameters[0]?.shape ?? [];
    expect((await home.gradient(0)).every((value) => value === 0)).toBe(true);
    const other = drawn("other", shape);
    await home.setGradient(0, other);
    expect([home.hasGradients, await home.gradient(0)]).toEqual([true, other]);
    expect((await home.gradient(1)).every((value) => value === 0)).toBe(true);
    home.dropGradients();
    expect([home.hasGradients, await home.squaredNorm()]).toEqual([false, 0]);
    await home.dispose();
  });
});
