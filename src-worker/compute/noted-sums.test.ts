import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { stageBytes } from "../stage/stage-memory.ts";
import { tinyRun } from "../tiny-run.test-support.ts";
import { Compute } from "./compute.ts";

const spec = tinyRun();
let compute: Compute;

beforeEach(async () => {
  compute = new Compute({ threads: 1, executionProvider: "cpu", niceness: null });
  await load(1);
});
afterEach(() => compute.close());

async function load(stage: number): Promise<void> {
  const { answer: info } = await compute.call("open", { spec: { ...spec, stage }, file: null });
  const memory = new SharedArrayBuffer(stageBytes(info));
  await compute.call("load", { memory, seed: spec.seed, recompute: "full" });
}

const tensor = (scale: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: spec.batch * spec.sequence * 32 }, (_, i) => Math.sin(i) * scale);

/** `note`: of the sums after it. */
async function work(microBatch: number, scale: number, note?: number): Promise<void> {
  await compute.call("forward", { microBatch, x: tensor(1), data: {}, keep: true });
  await compute.call("backward", { microBatch, dy: tensor(scale), note });
}

async function sums(): Promise<Float32Array> {
  return (await compute.call("gradients", { clear: false })).answer.output;
}

const recall = async (id: number): Promise<boolean> =>
  (await compute.call("recallSums", { id })).answer.isThere;
const optimise = (step: number): Promise<unknown> =>
  compute.call("optimise", { optimizer: spec.optimizer, step, microBatches: 1 });

it("sums that were noted are there again when their step is begun anew, however often", async () => {
  await work(0, 0.1, 1);
  const noted = await sums();
  for (let beginning = 0; beginning < 3; beginning += 1) {
    await compute.call("reset", {});
    expect(await recall(1)).toBe(true);
    expect(await sums()).toEqual(noted);
  }
  // They are gone on with as if nothing had happened.
  await work(1, 0.2);
  const both = await sums();
  await compute.call("reset", {});
  await work(0, 0.1);
  await work(1, 0.2);
  expect(await sums()).toEqual(both);
});

it("those of the step before are there beside those of the step under way, also when the stage is loaded anew", async () => {
  await work(0, 0.1, 1);
  const before = await sums();
  await optimise(0);
  await work(0, 0.3, 2);
  const now = await sums();
  await load(1);
  expect(await recall(1)).toBe(true);
  expect(await sums()).toEqual(before);
  await optimise(0);
  expect(await recall(2)).toBe(true);
  expect(await sums()).toEqual(now);
});

it("the last slice numbers its sums, too", async () => {
  await load(2);
  const samples = (): Int32Array<ArrayBuffer> => new Int32Array(spec.batch * spec.sequence);
  await compute.call("tail", { x: tensor(1), data: { targets: samples() }, note: 1 });
  expect(await recall(1)).toBe(true);
  await compute.call("tail", { x: tensor(1), data: { targets: samples() } });
  expect(await recall(1)).toBe(false);
});

it("what was added to is not what was noted; what is two steps old, or another stage's, is not there", async () => {
  await work(0, 0.1, 1);
  await work(1, 0.1);
  await compute.call("reset", {});
  expect(await recall(1)).toBe(false);
  for (const step of [0, 1, 2]) {
    await work(0, 0.1, 2 + step);
    await optimise(step);
  }
  expect([await recall(2), await recall(3), await recall(4)]).toEqual([false, true, true]);
  await load(2);
  expect(await recall(4)).toBe(false);
});

it("they are written where they are asked for, behind their header; where that cannot be, it is said", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tah-sums-"));
  try {
    await work(0, 0.1, 1);
    const path = join(folder, "sums");
    const header = Uint8Array.of(7, 7, 7, 7);
    for (const _again of [1, 2]) {
      const { answer } = await compute.call("writeSums", { file: { path, header } });
      expect(answer.isWritten).toBe(true);
    }
    const expected = await sums();
    const bytes = readFileSync(path);
    expect(bytes.subarray(0, 4)).toEqual(Buffer.from(header));
    expect(new Float32Array(new Uint8Array(bytes.subarray(4)).buffer)).toEqual(expected);
    const nowhere = { path: join(folder, "none", "sums"), header };
    const { answer } = await compute.call("writeSums", { file: nowhere });
    expect([answer.isWritten, await recall(1)]).toEqual([false, true]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
