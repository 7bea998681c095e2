import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Stage } from "../../src-engine/stage.ts";
import { stagesOf } from "../../src-engine/stages.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { Compute } from "../compute/compute.ts";
import { StageLoader } from "./stage-loader.ts";
import type { LoadRequest } from "./stage-loader.ts";
import { stageBytes } from "./stage-memory.ts";
import { Snapshots } from "./snapshots.ts";
import { tinyRun } from "../tiny-run.test-support.ts";

/** What a worker loads when it is told to, against its own disk; the compute thread does as it is told. */

const stage = { spec: tinyRun(), stage: 1 };
const info = openedStage();
const HOUR_MS = 3_600_000;

function openedStage(): Stage {
  const opened = stagesOf(stage.spec, null)[stage.stage];
  if (opened === undefined) throw new Error("the run has no such stage");
  return opened;
}

let folder: string;
let snapshots: Snapshots;
let now: number;
let room: number;
let loader: StageLoader;
const checkpoints = new Map<string, string>();

function memoryOf(value: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(stageBytes(info));
  new Float32Array(memory).fill(value);
  return memory;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tah-loader-"));
  snapshots = await Snapshots.open(folder, () => undefined);
  now = performance.now();
  room = 2 ** 34;
  loader = loaderOf(snapshots);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function loaderOf(of: Snapshots): StageLoader {
  const call = async (name: string) => ({ answer: name === "open" ? info : {}, ms: 1 });
  return new StageLoader({
    compute: { call: call as unknown as Compute["call"] },
    snapshots: of,
    checkpoints: { file: async (digest) => checkpoints.get(digest) ?? "" },
    models: { get: async () => new Uint8Array() },
    parts: { get: async () => [] },
    availableMemory: () => room,
    memoryBytes: Infinity,
    now: () => now,
  });
}

function load(request: Partial<LoadRequest>): Promise<Float32Array> {
  const nothing = { resumeStep: 0, resumeDigest: null, checkpointSha256: null };
  return loader
    .load({ ...stage, ...nothing, ...request }, new AbortController().signal)
    .then(({ memory }) => new Float32Array(memory));
}

/** A checkpoint in the network's store: this value everywhere. */
async function stored(step: number, value: number): Promise<string> {
  const elsewhere = mkdtempSync(join(tmpdir(), "tah-elsewhere-"));
  const others = await Snapshots.open(elsewhere, () => undefined);
  const { path } = await others.save(stage, step, memoryOf(value));
  const kept = join(folder, `checkpoint-${step}`);
  renameSync(path, kept);
  rmSync(elsewhere, { recursive: true, force: true });
  const digest = sha256(new Uint8Array(readFileSync(kept)));
  checkpoints.set(digest, kept);
  return digest;
}

const asides = () =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.includes("aside-"));

it("F1: a step that nobody can have reached is refused, and what was trained stays", async () => {
  await snapshots.save(stage, 38_950, memoryOf(1));
  const checkpointSha256 = await stored(3_000_000, 0);
  now += HOUR_MS;
  await expect(load({ resumeStep: 3_000_000, checkpointSha256 })).rejects.toMatchObject({
    code: "history-unexplained",
  });
  const digest = snapshots.digestOf(stage, 38_950);
  expect((await load({ resumeStep: 38_950, resumeDigest: digest }))[0]).toBe(1);
  now += 4 * HOUR_MS;
  expect((await load({ resumeStep: 3_000_000, checkpointSha256 }))[0]).toBe(0);
});

it("F11: a state that was written before the clock was set back keeps nobody from going on", async () => {
  const { path } = await snapshots.save(stage, 38_950, memoryOf(1));
  const tomorrow = new Date(Date.now() + 24 * HOUR_MS);
  utimesSync(path, tomorrow, tomorrow);
  snapshots = await Snapshots.open(folder, () => undefined);
  loader = loaderOf(snapshots);
  const checkpointSha256 = await stored(3_000_000, 5);
  expect((await load({ resumeStep: 3_000_000, checkpointSha256 }))[0]).toBe(5);
});

it("F1: its own newest state is kept when it is told to load another history, the last two of them", async () => {
  for (const step of [10, 20, 30]) {
    await snapshots.save(stage, step, memoryOf(step));
    const checkpointSha256 = await stored(5, 7);
    expect((await load({ resumeStep: 5, checkpointSha256 }))[0]).toBe(7);
  }
  expect(asides().map((name) => /aside-\d+/.exec(name)?.[0])).toEqual(
    expect.arrayContaining(["aside-30", "aside-20"]),
  );
  expect(asides()).toHaveLength(2);
});

it("its own snapshot of the step is used only if it is of the history that counts", async () => {
  const own = await snapshots.save(stage, 6, memoryOf(1));
  const checkpointSha256 = await stored(6, 2);
  expect((await load({ resumeStep: 6, resumeDigest: own.digest }))[0]).toBe(1);
  expect((await load({ resumeStep: 6, resumeDigest: "0".repeat(64), checkpointSha256 }))[0]).toBe(2);
  await expect(load({ resumeStep: 6, resumeDigest: "0".repeat(64) })).rejects.toMatchObject({
    code: "snapshot-missing",
  });
});

it("the state before is in memory too: nothing has to be on the disk to go one step back", async () => {
  const memory = await load({});
  for (const step of [1, 2, 3]) {
    loader.overwriting();
    memory.fill(step);
    loader.parametersAt({ step, link: null, digest: `${step}`.repeat(64) });
  }
  expect(loader.restorable()).toMatchObject([{ runId: "tiny", stage: 1, steps: [{ step: 3 }, { step: 2 }] }]);
  expect((await load({ resumeStep: 3, resumeDigest: "3".repeat(64) }))[0]).toBe(3);
  expect(snapshots.restorable()).toEqual([]);
  expect((await load({ resumeStep: 2, resumeDigest: "2".repeat(64) }))[0]).toBe(2);
});

it("what is in memory alone is put on the disk before it is given up", async () => {
  const memory = await load({});
  for (const step of [1, 2]) {
    loader.overwriting();
    memory.fill(step);
    loader.parametersAt({ step, link: null, digest: `${step}`.repeat(64) });
  }
  const checkpointSha256 = await stored(1, 7);
  expect((await load({ resumeStep: 1, checkpointSha256 }))[0]).toBe(7);
  expect(asides().map((name) => /aside-\d+/.exec(name)?.[0])).toEqual(["aside-2"]);
  expect(snapshots.restorable()[0]?.steps.map(({ step }) => step)).toEqual([1]);
});

it("where memory has no room for it, there is no state before", async () => {
  room = 200e6;
  const memory = await load({});
  loader.overwriting();
  memory.fill(1);
  expect(loader.keepsLast).toBe(false);
  expect(loader.restorable()).toEqual([]);
});
