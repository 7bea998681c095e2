import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { sha256 } from "../../src-protocol/signing.ts";
import { writeHeaderLast } from "../disk/header-last.ts";
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

/** As a stage comes to it: each micro-batch is written when it is done, its sums by the compute thread. */
function write(files: MemoFiles, step: number, count: number): StepPart {
  const memo = new StepMemo();
  let sums = new Float32Array(0);
  for (let at = 0; at < count; at += 1) {
    sums = Float32Array.of(step, at);
    const last = worked(100 * step + at);
    const file = files.sumsFile({ step, link: LINK, count: at + 1, size: sums.length, last });
    if (file !== null) writeHeaderLast(file, [new Uint8Array(sums.buffer)]);
    memo.add(step, at, last, memo.nextNote(), LINK);
    const part = memo.at(step);
    if (part !== null) files.write(part);
  }
  const part = memo.at(step);
  if (part === null) throw new Error("nothing was added");
  return { ...part, sums };
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
  for (const damage of [
    (path: string) => writeFileSync(path, "unfinished", { flag: "r+" }),
    (path: string) => truncateSync(path, 1026),
    (path: string) => rmSync(path),
  ]) {
    const whole = readFileSync(name(1, 1));
    damage(name(1, 1));
    expect(await new MemoFiles(folder, KEY).read()).toEqual([least]);
    writeFileSync(name(1, 1), whole);
  }
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

it("a place that cannot be written to is left alone from then on", async () => {
  const inFile = join(folder, "file");
  writeFileSync(inFile, "not a folder");
  const files = new MemoFiles(inFile, KEY);
  write(files, 7, 2);
  write(files, 8, 2);
  expect(readdirSync(folder)).toEqual([]);
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
  const file = files.sumsFile({ step: 3, link: null, count: 1, size: 0, last });
  if (file !== null) writeHeaderLast(file, []);
  files.write(part);
  expect(await files.read()).toEqual([part]);
});
