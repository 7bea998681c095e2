import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { sha256 } from "../../src-protocol/signing.ts";
import { writeHeaderLast } from "../disk/header-last.ts";
import type { SumsPlace, SumsToKeep } from "./kept-steps.ts";
import { MemoFiles } from "./memo-files.ts";
import { StepMemo } from "./step-memo.ts";
import type { StepPart, Worked } from "./step-memo.ts";

const KEY = "run/1";
const LINK = sha256("link");

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-memo-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function worked(value: number): Worked {
  return {
    x: sha256(`x ${value}`),
    y: Float32Array.of(value, value + 0.5),
    dy: sha256(`dy ${value}`),
    dx: Float32Array.of(-value),
    loss: null,
  };
}

/** As a stage comes to it that begins the step: where so many sums are due, the compute thread writes them. */
function write(
  files: MemoFiles,
  step: number,
  count: number,
  isDue = (count: number) => count > 0,
): StepPart {
  const memo = new StepMemo(files);
  memo.forgetFrom(step);
  let sums = new Float32Array(0);
  for (let at = 0; at < count; at += 1) {
    sums = Float32Array.of(step, at);
    const place = isDue(at + 1) ? files.place(due(step, at + 1)) : null;
    if (place !== null) writeHeaderLast(place.file, [new Uint8Array(sums.buffer)]);
    const part = memo.add(step, at, worked(100 * step + at), memo.nextNote(), LINK);
    if (part !== null) place?.done(part);
  }
  const part = memo.at(step);
  if (part === null) throw new Error("nothing was added");
  return { ...part, sums };
}

function due(step: number, count: number): SumsToKeep {
  return { step, link: LINK, count, size: 2, crossingBytes: 64 };
}

function placed(files: MemoFiles, sums: SumsToKeep): SumsPlace {
  const place = files.place(sums);
  if (place === null) throw new Error("it has no room");
  return place;
}

const name = (turn: number, each: number): string => join(folder, `sums-${turn}-${each}`);

it("gives back what was written of two steps, and of no older one", async () => {
  const files = new MemoFiles(folder, KEY);
  write(files, 6, 4);
  const before = write(files, 7, 4);
  const now = write(files, 8, 3);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([before, now]);
});

it("a kill while a file was written costs the micro-batch that it was of", async () => {
  const part = write(new MemoFiles(folder, KEY), 7, 3);
  const least = { ...part, worked: part.worked.slice(0, 2), sums: Float32Array.of(7, 1) };
  const newest = [name(1, 0), name(1, 1)].find((path) => readFileSync(path, "utf8").includes('"at":3')) ?? "";
  for (const damage of [
    (path: string) => writeFileSync(path, "unfinished", { flag: "r+" }),
    (path: string) => truncateSync(path, 1026),
    (path: string) => rmSync(path),
  ]) {
    const whole = readFileSync(newest);
    damage(newest);
    expect(await new MemoFiles(folder, KEY).read()).toEqual([least]);
    writeFileSync(newest, whole);
  }
});

it("where sums are not written after each micro-batch, it gives back those of the last that were", async () => {
  const files = new MemoFiles(folder, KEY);
  write(files, 7, 8, (count) => count === 1 || count === 5);
  const part = write(files, 9, 7, (count) => count === 2 || count === 6);
  const upTo = (count: number): StepPart => ({
    ...part,
    worked: part.worked.slice(0, count),
    sums: Float32Array.of(9, count - 1),
  });
  expect(await new MemoFiles(folder, KEY).read()).toEqual([upTo(6)]);
  const newest = [name(1, 0), name(1, 1)].find((path) => readFileSync(path, "utf8").includes('"at":6')) ?? "";
  rmSync(newest);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([upTo(2)]);
});

it("a process that goes on with them does not write over the newest first", async () => {
  write(new MemoFiles(folder, KEY), 7, 3);
  const next = new MemoFiles(folder, KEY);
  const [part] = await next.read();
  writeFileSync(placed(next, due(7, 4)).file.path, "unfinished");
  expect(await new MemoFiles(folder, KEY).read()).toEqual([part]);
});

it("a step that goes another way has nothing of the way before, in the same process and in the next", async () => {
  const files = new MemoFiles(folder, KEY);
  write(files, 7, 4);
  write(files, 7, 2, () => false);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([]);
  write(files, 7, 4);
  write(new MemoFiles(folder, KEY), 7, 2, () => false);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([]);
});

it("sums of another way are not taken for those of micro-batches that lie there of the way before", async () => {
  const files = new MemoFiles(folder, KEY);
  write(files, 7, 4);
  write(files, 7, 3, () => false);
  // A kill: the compute thread has written them, and this thread nothing yet.
  writeHeaderLast(placed(files, due(7, 4)).file, [new Uint8Array(8)]);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([]);
});

it("until sums are known to be written, those before them are not written over", async () => {
  const files = new MemoFiles(folder, KEY);
  const part = write(files, 7, 3);
  // Two jobs that were given and failed.
  for (const count of [4, 5]) writeFileSync(placed(files, due(7, count)).file.path, "unfinished");
  expect(await new MemoFiles(folder, KEY).read()).toEqual([part]);
});

it("what goes another way from a step on is gone, of that step and of a later one", async () => {
  const files = new MemoFiles(folder, KEY);
  const six = write(files, 6, 2);
  const seven = write(files, 7, 2);
  files.forgetFrom(8);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([six, seven]);
  files.forgetFrom(7);
  expect(readdirSync(folder).sort()).toEqual(["sums-0-0", "sums-0-1", "worked-0-0", "worked-0-1"]);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([six]);
  write(files, 7, 2);
  new MemoFiles(folder, KEY).forgetFrom(6);
  expect(readdirSync(folder)).toEqual([]);
});

it("a process that goes on with them writes what is new only", async () => {
  write(new MemoFiles(folder, KEY), 7, 3);
  const next = new MemoFiles(folder, KEY);
  const [part] = await next.read();
  if (part === undefined) throw new Error("nothing was read");
  const sums = Float32Array.of(7, 9);
  const longer = { ...part, worked: [...part.worked, worked(4)], sums };
  rmSync(join(folder, "worked-1-0"));
  const place = placed(next, due(7, 4));
  writeHeaderLast(place.file, [new Uint8Array(sums.buffer)]);
  place.done(longer);
  expect(
    readdirSync(folder)
      .filter((each) => each.startsWith("worked"))
      .sort(),
  ).toEqual(["worked-1-1", "worked-1-2", "worked-1-3"]);
});

it("where a micro-batch is missing, nothing of its step is believed", async () => {
  write(new MemoFiles(folder, KEY), 7, 3);
  rmSync(join(folder, "worked-1-0"));
  expect(await new MemoFiles(folder, KEY).read()).toEqual([]);
});

it("what another slice, or nobody, has left is nothing", async () => {
  write(new MemoFiles(folder, KEY), 7, 3);
  expect(await new MemoFiles(folder, "run/2").read()).toEqual([]);
  expect(await new MemoFiles(join(folder, "none"), KEY).read()).toEqual([]);
});

it("a place that cannot be written to is left alone, and a step that could not be written too", async () => {
  const inFile = join(folder, "file");
  writeFileSync(inFile, "not a folder");
  write(new MemoFiles(inFile, KEY), 7, 2);
  expect(readdirSync(folder)).toEqual([]);
  const files = new MemoFiles(folder, KEY);
  placed(files, due(7, 1)).failed();
  expect(files.place(due(7, 2))).toBeNull();
  const part = write(files, 8, 2);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([part]);
});

it("a step that has no room is not written, and one that has is, beside what was written before", async () => {
  const files = new MemoFiles(folder, KEY);
  const before = write(files, 6, 2);
  const free = statfsSync(folder);
  const bytes = free.bavail * free.bsize;
  expect(files.place({ ...due(7, 1), size: bytes })).toBeNull();
  expect(files.place({ ...due(7, 1), crossingBytes: bytes })).toBeNull();
  const now = write(files, 7, 2);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([before, now]);
});

it("where its folder was emptied, a step goes on with all that is in it", async () => {
  const files = new MemoFiles(folder, KEY);
  const part = write(files, 7, 3);
  rmSync(folder, { recursive: true });
  const longer = { ...part, worked: [...part.worked, worked(4)], sums: Float32Array.of(7, 9) };
  const place = placed(files, due(7, 4));
  writeHeaderLast(place.file, [new Uint8Array(longer.sums.buffer)]);
  place.done(longer);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([longer]);
});

it("the head's micro-batches come from no digest, and the tail's have a loss", async () => {
  const files = new MemoFiles(folder, KEY);
  const last = { x: null, y: null, dy: null, dx: Float32Array.of(1), loss: 2.5 };
  const part: StepPart = {
    step: 3,
    link: null,
    worked: [last],
    sums: new Float32Array(0),
  };
  const place = placed(files, { step: 3, link: null, count: 1, size: 0, crossingBytes: 4 });
  writeHeaderLast(place.file, []);
  place.done(part);
  expect(await files.read()).toEqual([part]);
});
