import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { tinyRun } from "../tiny-run.test-support.ts";
import { StoredStates } from "./stored-states.ts";

/** What a computer has of a stage, on its disk and in memory that outlives the process, while the run goes to and fro. */

const stage = { spec: tinyRun(), stage: 1 };
const LINK = "ab".repeat(32);

let folder: string;
let states: StoredStates;
/** What its owner is told. */
let told: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tah-stored-"));
  told = [];
  await begin();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As a process begins: after a kill, too. */
async function begin(): Promise<void> {
  states = await StoredStates.open(join(folder, "disk"), join(folder, "memory"), ({ message }) =>
    told.push(message),
  );
  await states.hold(stage, true, () => true);
}

function memoryOf(value: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(4000);
  new Float32Array(memory).fill(value);
  return memory;
}

const onDisk = async (step: number, value = step) =>
  (await states.save(stage, step, memoryOf(value), LINK)).digest;
const inMemory = (step: number, value = step) => states.keep(stage, step, memoryOf(value), LINK);

const steps = () => states.restorable().flatMap((each) => each.steps.map(({ step }) => step));
const diskSteps = () =>
  states.disk
    .stepsOf(stage)
    .map(({ step }) => step)
    .sort((a, b) => a - b);
const namesIn = (place: string) => readdirSync(join(folder, place), { recursive: true, encoding: "utf8" });
const asides = () =>
  namesIn("disk")
    .filter((name) => name.includes("aside-"))
    .map((name) => basename(name))
    .sort();

const pathOf = (aside: string) =>
  join(folder, "disk", namesIn("disk").find((each) => basename(each) === aside) ?? "");

describe.each([
  ["on the disk", onDisk],
  ["in memory", inMemory],
])("states %s, where the run goes on from an older one", (_, put) => {
  it("the newest is kept before it would be written over, and those before it are not", async () => {
    for (const step of [97, 98, 99, 100]) await put(step);
    for (const step of [51, 52, 53, 54, 55]) await put(step);
    expect(asides()).toEqual(["aside-100.snapshot"]);
    expect(told).toEqual([
      `This computer had come to step 100, further than the network, which goes on at step 51. Its own state is kept: ${pathOf("aside-100.snapshot")}.`,
    ]);
    expect(readFileSync(pathOf("aside-100.snapshot")).subarray(-4).readFloatLE()).toBe(100);
    expect(steps().filter((step) => step > 55)).toEqual([]);
  });

  it("the newest is offered until something is written: a kill before that loses nothing", async () => {
    for (const step of [97, 98, 99, 100]) await put(step);
    await begin();
    expect([steps().at(-1), asides()]).toEqual([100, []]);
    await put(51);
    await begin();
    await put(52);
    expect([steps().includes(100), asides()]).toEqual([false, ["aside-100.snapshot"]]);
  });

  it("of many such histories the newest of the last two stay", async () => {
    for (const newest of [100, 90, 80, 70]) {
      await put(newest);
      await put(newest - 50);
      // An hour apart, as file systems tell it.
      const at = new Date(Date.now() - newest * 3_600_000);
      utimesSync(pathOf(`aside-${newest}.snapshot`), at, at);
      await begin();
    }
    expect(asides()).toEqual(["aside-70.snapshot", "aside-80.snapshot"]);
  });

  it("steps that are done again in any case are written over: nothing piles up", async () => {
    for (const step of [97, 98, 99, 100, 99, 100, 98, 99, 100, 101]) await put(step);
    expect(asides()).toEqual([]);
  });

  it.each([
    [11, "is kept", ["aside-100.snapshot"]],
    [9, "is done again, as after a power cut", []],
  ])("work of %i minutes since the state that is gone back to %s", async (minutes, __, kept) => {
    await onDisk(64);
    const name = namesIn("disk").find((each) => each.endsWith(".snapshot")) ?? "";
    const at = new Date(Date.now() - minutes * 60_000);
    utimesSync(join(folder, "disk", name), at, at);
    await begin();
    for (const step of [98, 99, 100]) await put(step);
    for (const step of [65, 66, 67, 68]) await put(step);
    expect(asides()).toEqual(kept);
  });

  it("a kept state of a time to come, before the clock was set back, hides no other one", async () => {
    await put(100);
    await put(51);
    utimesSync(pathOf("aside-100.snapshot"), new Date("2100-01-01"), new Date("2100-01-01"));
    await put(80);
    await put(41);
    expect(asides()).toEqual(["aside-100.snapshot", "aside-80.snapshot"]);
  });
});

it("of a newest state in memory and one before it on the disk, the newest is kept, once", async () => {
  await onDisk(96);
  for (const step of [98, 99, 100]) await inMemory(step);
  for (const step of [51, 52, 53, 54]) await onDisk(step);
  await inMemory(55);
  expect(asides()).toEqual(["aside-100.snapshot"]);
});

it("states of memory that come to the disk take no later state's place", async () => {
  for (const step of [976, 984, 992]) await onDisk(step);
  for (const step of [997, 998, 999]) await inMemory(step);
  await onDisk(1000);
  await states.release();
  expect(diskSteps()).toEqual([992, 998, 999, 1000]);
});

it("of two states of the same step, the later one stays and is offered", async () => {
  await inMemory(9);
  await inMemory(10);
  const digest = await onDisk(10, 7);
  expect(states.restorable()[0]?.steps.at(-1)).toEqual({ step: 10, digest });
  // As a kill leaves them before the one in memory is let go.
  await inMemory(11);
  const later = await states.disk.save(stage, 11, memoryOf(8), LINK);
  await states.release();
  expect(states.restorable()[0]?.steps.at(-1)).toEqual({ step: 11, digest: later.digest });
});

it("a state in memory that cannot be read now is not offered, and is there when it can be", async () => {
  await inMemory(9);
  await inMemory(10);
  const name = namesIn("memory").find((each) => each.endsWith("slot-1.snapshot")) ?? "";
  const path = join(folder, "memory", name);
  // As where a process may open no more files.
  renameSync(path, `${path}.elsewhere`);
  symlinkSync(path, path);
  await begin();
  expect([steps(), lstatSync(path).isSymbolicLink()]).toEqual([[9], true]);
  renameSync(`${path}.elsewhere`, path);
  await begin();
  expect(steps()).toEqual([9, 10]);
});
