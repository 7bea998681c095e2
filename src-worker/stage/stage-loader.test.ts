import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Stage } from "../../src-engine/stage.ts";
import { stagesOf } from "../../src-engine/stages.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { Compute } from "../compute/compute.ts";
import { PROGRAM_BYTES } from "./memory-budget.ts";
import { StageLoader } from "./stage-loader.ts";
import type { LoadRequest } from "./stage-loader.ts";
import { stageBytes } from "./stage-memory.ts";
import { Snapshots } from "./snapshots.ts";
import { StoredStates } from "./stored-states.ts";
import { tinyRun } from "../tiny-run.test-support.ts";

/** What a worker loads when it is told to, against its own disk; the compute thread does as it is told. */

const stage = { spec: tinyRun(), stage: 1 };
const info = { ...openedStage(), ties: [], tiedSums: [] };
const HOUR_MS = 3_600_000;

function openedStage(): Stage {
  const opened = stagesOf(stage.spec, null)[stage.stage];
  if (opened === undefined) throw new Error("the run has no such stage");
  return opened;
}

let folder: string;
let states: StoredStates;
let snapshots: Snapshots;
let now: number;
let room: number;
let loader: StageLoader;
const checkpoints = new Map<string, string>();
/** What the compute thread was asked for. */
let called: string[];

function memoryOf(value: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(stageBytes(info));
  new Float32Array(memory).fill(value);
  return memory;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tah-loader-"));
  now = performance.now();
  room = 2 ** 34;
  called = [];
  await begin(null);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As a process of the worker begins. */
async function begin(memoryFolder: string | null): Promise<void> {
  states = await StoredStates.open(
    folder,
    memoryFolder,
    () => undefined,
    () => now,
  );
  snapshots = states.disk;
  loader = loaderOf(states);
}

function loaderOf(of: StoredStates): StageLoader {
  const call = async (name: string) => {
    called.push(name);
    return { answer: name === "open" ? info : {}, ms: 1 };
  };
  return new StageLoader({
    compute: { call: call as unknown as Compute["call"] },
    states: of,
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
  await begin(null);
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

describe("a worker that has more than what the network goes on from", () => {
  const save = (step: number, value = step) => states.save(stage, step, memoryOf(value), "ab".repeat(32));

  it("keeps its newest state when it takes an older one over from other replicas, also after a kill", async () => {
    await save(99);
    const { digest } = await save(100);
    await load({ joins: true });
    // Killed before it had the others' state: nothing was given up, and the network may yet go on from there.
    await begin(null);
    expect((await load({ resumeStep: 100, resumeDigest: digest }))[0]).toBe(100);
    await load({ joins: true });
    loader.overwriting();
    loader.parametersAt({ step: 50, link: null, digest: null });
    for (const step of [51, 52, 53, 54]) await save(step);
    expect(asides().map((name) => /aside-\d+/.exec(name)?.[0])).toEqual(["aside-100"]);
  });

  it("keeps its newest state when it goes back to an older one of its own", async () => {
    const { path, digest } = await save(64);
    for (const step of [96, 99, 100]) await save(step);
    const anHourAgo = new Date(Date.now() - HOUR_MS);
    utimesSync(path, anHourAgo, anHourAgo);
    await begin(null);
    expect((await load({ resumeStep: 64, resumeDigest: digest }))[0]).toBe(64);
    for (const step of [65, 66, 67]) await save(step);
    expect(asides().map((name) => /aside-\d+/.exec(name)?.[0])).toEqual(["aside-100"]);
  });
});

it("of what is in memory alone, the state before takes no place on the disk from the newest", async () => {
  let digest = "";
  for (const step of [1, 2, 3, 4]) ({ digest } = await states.save(stage, step, memoryOf(step)));
  const memory = await load({ resumeStep: 4, resumeDigest: digest });
  for (const step of [5, 6]) {
    loader.overwriting();
    memory.fill(step);
    loader.parametersAt({ step, link: null, digest: `${step}`.repeat(64) });
  }
  await loader.toDisk();
  expect(snapshots.restorable()[0]?.steps.map(({ step }) => step)).toEqual([2, 4, 5, 6]);
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

describe("where a file system lies in memory", () => {
  let inMemory: string;
  beforeEach(() => (inMemory = mkdtempSync(join(tmpdir(), "tah-memory-"))));
  afterEach(() => rmSync(inMemory, { recursive: true, force: true }));

  /** Trains the stage's steps up to this one, of which none is due on the disk. */
  async function train(last: number): Promise<string> {
    const memory = await load({});
    let digest = "";
    for (let step = 1; step <= last; step++) {
      loader.overwriting();
      memory.fill(step);
      digest = await states.keep(stage, step, memory.buffer as SharedArrayBuffer, "ab".repeat(32));
      loader.parametersAt({ step, link: "ab".repeat(32), digest });
    }
    return digest;
  }
  const placesIn = (place: string): string[] =>
    readdirSync(place, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".snapshot"))
      .map((name) => join(place, name))
      .sort();
  const stepsOf = (where: { restorable(): { steps: { step: number }[] }[] }): number[] =>
    where.restorable().flatMap(({ steps }) => steps.map(({ step }) => step));

  it("a killed process loses no step, and its disk was not written to", async () => {
    await begin(inMemory);
    const digest = await train(5);
    expect([loader.keepsLast, stepsOf(snapshots)]).toEqual([true, []]);
    await begin(inMemory);
    expect(stepsOf(states)).toEqual([3, 4, 5]);
    const resumed = { ...stage, resumeStep: 5, resumeDigest: digest, checkpointSha256: null };
    const { memory, link } = await loader.load(resumed, new AbortController().signal);
    expect([new Float32Array(memory)[0], link]).toEqual([5, "ab".repeat(32)]);
    expect(stepsOf(snapshots)).toEqual([]);
  });

  it("one that ends in order, or is given another stage, leaves them on the disk and the memory free", async () => {
    await begin(inMemory);
    await train(3);
    await loader.toDisk();
    expect([stepsOf(snapshots), states.bytesInMemory, readdirSync(inMemory)]).toEqual([[1, 2, 3], 0, []]);
    await begin(inMemory);
    await train(4);
    const other = { resumeStep: 0, resumeDigest: null, checkpointSha256: null };
    await begin(inMemory);
    await loader.load({ ...stage, stage: 0, ...other }, new AbortController().signal);
    expect([stepsOf(snapshots).includes(4), states.bytesInMemory]).toEqual([true, 0]);
  });

  it("what is damaged there, or cut short by the kill, is not used; the step before is", async () => {
    await begin(inMemory);
    await train(5);
    const newest = placesIn(inMemory).find((path) => readFileSync(path).includes('"step":5,'));
    writeFileSync(newest ?? "", readFileSync(newest ?? "").fill("unfinished", 0, 10));
    await begin(inMemory);
    expect(stepsOf(states)).toEqual([3, 4]);
  });

  it("the newest state is kept on the disk when another history comes, and is offered no more", async () => {
    await begin(inMemory);
    await train(9);
    await begin(inMemory);
    const checkpointSha256 = await stored(5, 7);
    expect((await load({ resumeStep: 5, checkpointSha256 }))[0]).toBe(7);
    expect(asides().map((name) => /aside-\d+/.exec(name)?.[0])).toEqual(["aside-9"]);
    expect(stepsOf(states)).toEqual([7, 8]);
    expect(states.keeps).toBe(true);
  });

  it("where it is full, states go to the disk as elsewhere, and to memory again when it has room", async () => {
    await begin(inMemory);
    const { buffer } = await load({});
    const memory = buffer as SharedArrayBuffer;
    const step = async (at: number) => {
      loader.overwriting();
      new Float32Array(memory).fill(at);
      const isDue = !loader.keepsLast;
      const digest = await states.keep(stage, at, memory, "ab".repeat(32));
      loader.parametersAt({ step: at, link: "ab".repeat(32), digest });
      return isDue;
    };
    for (const at of [0, 1, 2]) await step(at);
    // The place of the next one cannot be written.
    const [oldest = ""] = placesIn(inMemory);
    rmSync(oldest);
    mkdirSync(oldest);
    await step(3);
    // What may have to be gone back to.
    expect(stepsOf(snapshots)).toEqual([1, 2, 3]);
    expect([states.keeps, states.bytesInMemory]).toEqual([false, 0]);
    // From then on as where there is no such place: not every state has to go to the disk.
    expect([await step(4), await step(5), stepsOf(snapshots)]).toEqual([false, false, [1, 2, 3]]);
    expect(loader.restorable()[0]?.steps.map(({ step: at }) => at)).toEqual([5, 4]);
    await step(6);
    now += 61_000;
    const enough = room;
    room = 0;
    await step(6);
    expect(states.keeps).toBe(false);
    room = enough;
    now += 61_000;
    for (const at of [7, 8, 9, 10]) await step(at);
    expect([states.keeps, states.isFull]).toEqual([true, false]);
    // The process's own state before was let go: three are in memory that outlives it.
    expect(loader.restorable()[0]?.steps.map(({ step: at }) => at)).toEqual([10]);
    await begin(inMemory);
    expect(stepsOf(states)).toEqual([1, 2, 3, 8, 9, 10]);
  });

  it("where somebody emptied it, the state of now goes to the disk", async () => {
    await begin(inMemory);
    await train(2);
    rmSync(inMemory, { recursive: true });
    writeFileSync(inMemory, "in the way");
    expect(await states.keep(stage, 3, memoryOf(3), "ab".repeat(32))).toMatch(/^[0-9a-f]{64}$/);
    expect([states.keeps, stepsOf(snapshots)]).toEqual([false, [3]]);
    rmSync(inMemory);
  });

  it("where the computer has no room for so many, no state is kept there", async () => {
    await begin(join(folder, "memory"));
    room = 200e6;
    await load({});
    expect(states.keeps).toBe(false);
  });
});

it("where memory has no room for it, there is no state before", async () => {
  room = 200e6;
  const memory = await load({});
  loader.overwriting();
  memory.fill(1);
  expect(loader.keepsLast).toBe(false);
  expect(loader.restorable()).toEqual([]);
});

describe("a stage that comes to be shared", () => {
  const sent = info.boundaryBytes.in + info.boundaryBytes.out;
  /** As one of two in the class fast: its own sum, the other's, and both together; and what it sent. */
  const KEPT = 3 * 4 * info.parameterCount + stage.spec.microBatches * sent;
  const resumed = { resumeStep: 4, resumeDigest: "4".repeat(64), joins: false, replicas: 2 };
  /** It has the stage alone, and has trained four steps. */
  async function alone(): Promise<void> {
    const memory = await load({});
    loader.overwriting();
    memory.fill(4);
    loader.parametersAt({ step: 4, link: null, digest: resumed.resumeDigest });
    called.splice(0);
  }

  it("goes on where it is, with room for what its replicas keep", async () => {
    await alone();
    expect((await load(resumed))[0]).toBe(4);
    expect(called, "nothing is loaded again").toEqual(["reset"]);
  });

  it("is refused where there is no room, before any memory is taken", async () => {
    await alone();
    room = KEPT;
    await expect(load(resumed)).rejects.toMatchObject({ code: "stage-too-large" });
    expect(called, "it was looked at").toEqual(["open"]);
  });

  it("is counted to the byte with them", async () => {
    const { peakBytes, keptBytes } = info.memory.full;
    await begin(null);
    room = PROGRAM_BYTES + peakBytes + 2 * keptBytes + KEPT - 1;
    const joining = { ...resumed, joins: true };
    await expect(load(joining)).rejects.toMatchObject({ code: "stage-too-large" });
    room += 1;
    await expect(load(joining)).resolves.toBeDefined();
  });
});
