import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type * as Fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SNAPSHOT_HEADER_BYTES, snapshotDigest } from "../../src-protocol/snapshot.ts";
import type { NewSnapshotHeader } from "../../src-protocol/snapshot.ts";
import { stateSample } from "../../src-protocol/state-sample.ts";
import { tinyRun } from "../tiny-run.test-support.ts";
import { copyToDisk, openSource, readSnapshotHeader, readSnapshotPayload } from "./snapshot-file.ts";
import { Snapshots } from "./snapshots.ts";
import { StoredStates } from "./stored-states.ts";

/** States in a file system that lies in memory have no checksum: a kill leaves what was written, in its order. */

const stage = { spec: tinyRun(), stage: 1 };
const LINK = "ab".repeat(32);
/** Of three pieces. */
const BYTES = 9 * 1024 * 1024;

/** Called where a kill may come: before a write, in the middle of it, and after it. */
let killHere: (() => void) | null = null;

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof Fs>();
  const writeSync = (file: number, bytes: Uint8Array, from: number, length: number, at: number): number => {
    const whole = (length: number): number => fs.writeSync(file, bytes, from, length, at);
    if (killHere === null) return whole(length);
    killHere();
    whole(Math.ceil(length / 2));
    killHere();
    const written = whole(length);
    killHere();
    return written;
  };
  return { ...fs, writeSync };
});

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-memory-"));
});
afterEach(() => {
  killHere = null;
  rmSync(folder, { recursive: true, force: true });
});

const inMemory = (at = "memory"): Promise<Snapshots> =>
  Snapshots.open(join(folder, at), () => undefined, "memory");

function memoryOf(value: number, bytes = BYTES): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes);
  new Float32Array(memory).fill(value);
  return memory;
}

/** What tells it from another one is in no sample: the order of writing alone guards it. */
function barelyOf(value: number): SharedArrayBuffer {
  const memory = memoryOf(1);
  const values = new Float32Array(memory);
  for (const at of [4_000, values.length / 2, values.length - 4_000]) values.fill(value, at - 500, at + 500);
  return memory;
}

const stepsIn = (snapshots: Snapshots): number[] =>
  snapshots.restorable().flatMap(({ steps }) => steps.map(({ step }) => step));

/** Each state that is offered is whole, and is what was saved after its step. */
async function expectWhole(
  snapshots: Snapshots,
  savedOf: (step: number) => SharedArrayBuffer = memoryOf,
): Promise<number[]> {
  const steps = stepsIn(snapshots);
  for (const step of steps) {
    const saved = savedOf(step);
    const memory = new SharedArrayBuffer(saved.byteLength);
    expect(await snapshots.restore(stage, step, memory)).toBe(true);
    expect(Buffer.from(memory).equals(Buffer.from(saved))).toBe(true);
  }
  return steps;
}

it.each([
  ["into a new file", [1, 2], [1, 2]],
  ["over the oldest", [1, 2, 3], [2, 3]],
])(
  "a process that is killed at any moment of a copy %s leaves the states of before, or the new one too",
  async (_, before, kept) => {
    expect(stateSample(barelyOf(1))).toBe(stateSample(barelyOf(9)));
    // A header that says "unfinished", three pieces, and the header.
    const moments = 3 * 5;
    const found: number[][] = [];
    for (let moment = 0; moment < moments; moment++) {
      const [living, killed] = [`living-${moment}`, `killed-${moment}`];
      const snapshots = await inMemory(living);
      for (const step of before) await snapshots.save(stage, step, barelyOf(step), LINK);
      let passed = 0;
      killHere = () => {
        if (passed++ === moment) cpSync(join(folder, living), join(folder, killed), { recursive: true });
      };
      await snapshots.save(stage, 9, barelyOf(9), LINK);
      killHere = null;
      expect(passed).toBe(moments);
      expect(await expectWhole(await inMemory(living), barelyOf)).toEqual([...kept, 9]);
      const next = await inMemory(killed);
      found.push(await expectWhole(next, barelyOf));
      // It goes on.
      await next.save(stage, 10, barelyOf(10), LINK);
      expect(await expectWhole(next, barelyOf)).toContain(10);
      for (const each of [living, killed]) rmSync(join(folder, each), { recursive: true });
    }
    expect(found[0]).toEqual(before);
    for (const steps of found.slice(1)) expect([kept, [...kept, 9]]).toContainEqual(steps);
  },
);

// Windows has no such file system.
it.skipIf(process.platform === "win32").each([
  ["by one thread", BYTES],
  ["by others, as it is large", 17 * 1024 * 1024],
])(
  "killed for real while it copies %s, it leaves what it has told of",
  { timeout: 60_000 },
  async (_, bytes) => {
    let step = 0;
    for (const delayMs of [0, 3]) {
      const at = (...names: string[]): string => JSON.stringify(join(import.meta.dirname, ...names));
      const script = `
      const { Snapshots } = await import(${at("snapshots.ts")});
      const { tinyRun } = await import(${at("..", "tiny-run.test-support.ts")});
      const snapshots = await Snapshots.open(${JSON.stringify(join(folder, "memory"))}, () => {}, "memory");
      const memory = new SharedArrayBuffer(${bytes});
      for (let step = ${step + 1}; ; step++) {
        new Float32Array(memory).fill(step);
        await snapshots.save({ spec: tinyRun(), stage: 1 }, step, memory, "${LINK}");
        console.log(step);
      }`;
      const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = new Promise((resolve) => child.once("exit", resolve));
      let told = 0;
      for await (const line of createInterface(child.stdout)) {
        const first = told === 0;
        told = Number(line);
        if (first) setTimeout(() => child.kill("SIGKILL"), 50 + delayMs);
      }
      await ended;
      const found = await expectWhole(await inMemory(), (each) => memoryOf(each, bytes));
      expect(told).toBeGreaterThan(step);
      expect(found).toEqual(expect.arrayContaining(told > 1 ? [told - 1, told] : [told]));
      step = found.at(-1) ?? 0;
    }
  },
);

/** Of the newest state. */
function newestFile(): string {
  const names = readdirSync(join(folder, "memory"), { recursive: true, encoding: "utf8" });
  const paths = names
    .filter((name) => name.endsWith(".snapshot"))
    .map((name) => join(folder, "memory", name));
  return paths.find((path) => headerIn(path).step === 3) ?? "";
}

const headerIn = (path: string): NewSnapshotHeader =>
  JSON.parse(readFileSync(path).toString("utf8", 0, SNAPSHOT_HEADER_BYTES)) as NewSnapshotHeader;

it.each<[string, (bytes: Buffer) => Buffer]>([
  ["half of another state", (bytes) => bytes.fill(7, bytes.length / 2)],
  ["the end of another one", (bytes) => bytes.fill(7, bytes.length - 65_536)],
  ["zeros", (bytes) => bytes.fill(0, SNAPSHOT_HEADER_BYTES)],
  ["less than it was", (bytes) => bytes.subarray(0, -1)],
  ["more than it was", (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ["no header", (bytes) => bytes.fill(0, 0, SNAPSHOT_HEADER_BYTES)],
])("a file in memory with %s is no state, and those beside it are", async (_, damage) => {
  const snapshots = await inMemory();
  for (const step of [1, 2, 3]) await snapshots.save(stage, step, memoryOf(step), LINK);
  const path = newestFile();
  writeFileSync(path, damage(readFileSync(path)));
  expect(await snapshots.restore(stage, 3, memoryOf(0))).toBe(false);
  expect(await expectWhole(await inMemory())).toEqual([1, 2]);
});

it("a file that is written over while it is read, by a process that has not ended yet, is no state", async () => {
  const snapshots = await inMemory();
  const { path } = await snapshots.save(stage, 3, memoryOf(3), LINK);
  const source = await openSource(path);
  const header = await readSnapshotHeader(source);
  const reading = {
    bytes: source.bytes,
    read: async (into: Uint8Array, at: number) => {
      await source.read(into, at);
      if (at > SNAPSHOT_HEADER_BYTES) await snapshots.save(stage, 3, memoryOf(3), "cd".repeat(32));
    },
  };
  const read = readSnapshotPayload(reading, header, memoryOf(0), "memory");
  await expect(read).rejects.toThrow("it was written over while it was read");
  await source.close();
});

it("what comes from memory to the disk has a checksum there, and is known by the same digest", async () => {
  const open = () => StoredStates.open(join(folder, "disk"), join(folder, "memory"), () => undefined);
  const states = await open();
  await states.hold(stage, true, () => true);
  const digest = await states.keep(stage, 3, memoryOf(3), LINK);
  expect(headerIn(newestFile()).payloadCrc32).toBeNull();
  await states.release();
  const again = await open();
  expect(again.disk.stepsOf(stage)).toEqual([{ step: 3, digest }]);
  const memory = memoryOf(0);
  expect(await again.restore(stage, 3, digest, memory)).toEqual({ link: LINK });
  expect(Buffer.from(memory).equals(Buffer.from(memoryOf(3)))).toBe(true);
  const { path } = await again.save(stage, 4, memoryOf(4), LINK);
  const taken = path.replace("slot-1", "slot-0");
  expect(headerIn(taken).payloadCrc32).toBe(crc32(new Uint8Array(memory)));
  // One value that has decayed is found on a disk.
  writeFileSync(taken, readFileSync(taken).fill(1, 9_000, 9_001));
  expect(await again.restore(stage, 3, digest, memoryOf(0))).toBeNull();
});

it("a state has one digest: in memory, on the disk, and where it is kept nowhere", async () => {
  const states = await StoredStates.open(join(folder, "disk"), join(folder, "memory"), () => undefined);
  const nowhere = await states.keep(stage, 3, memoryOf(3), LINK);
  await states.hold(stage, true, () => true);
  expect(await states.keep(stage, 3, memoryOf(3), LINK)).toBe(nowhere);
  expect((await states.save(stage, 3, memoryOf(3), LINK)).digest).toBe(nowhere);
  // Who knows its link only does not know it: neighbours sign that.
  expect((await states.save(stage, 3, memoryOf(4), LINK)).digest).not.toBe(nowhere);
});

it("a file without a checksum is none of a disk's", async () => {
  await (await inMemory()).save(stage, 3, memoryOf(3), LINK);
  const said: string[] = [];
  const on = (at: string) => Snapshots.open(join(folder, at), ({ message }) => said.push(message));
  expect((await on("memory")).restorable()).toEqual([]);
  expect(said).toEqual([
    expect.stringMatching(/^A stored snapshot cannot be used: it has no checksum\. It was kept as /),
  ]);
});

it.each(["memory", "disk"] as const)(
  "what an earlier version has left in a file of the %s is read",
  async (place) => {
    const snapshots = await Snapshots.open(join(folder, "memory"), () => undefined, place);
    const { path } = await snapshots.save(stage, 3, memoryOf(3), LINK);
    const bytes = readFileSync(path);
    const { sampleSha256: _, ...now } = headerIn(path);
    const payloadCrc32 = crc32(bytes.subarray(SNAPSHOT_HEADER_BYTES));
    const earlier = { ...now, schema: "train-at-home/snapshot/v1" as const, payloadCrc32 };
    bytes.write(JSON.stringify(earlier).padEnd(SNAPSHOT_HEADER_BYTES - 1), 0);
    writeFileSync(path, bytes);
    const next = await Snapshots.open(dirname(dirname(dirname(path))), () => undefined, place);
    // By the digest of then the network knows it.
    expect(next.digestOf(stage, 3)).toBe(snapshotDigest(earlier));
    expect(await expectWhole(next)).toEqual([3]);
    await copyToDisk(path, join(folder, "copied"));
    expect(readFileSync(join(folder, "copied")).equals(bytes)).toBe(true);
    writeFileSync(path, bytes.fill(1, 9_000, 9_001));
    expect(await next.restore(stage, 3, memoryOf(0))).toBe(false);
  },
);
