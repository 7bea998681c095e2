import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { sha256 } from "../../src-protocol/signing.ts";
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

/** As a stage comes to it: each micro-batch is written when it is done. */
async function write(files: MemoFiles, step: number, count: number): Promise<StepPart> {
  const memo = new StepMemo();
  for (let at = 0; at < count; at += 1) {
    memo.add(step, at, worked(100 * step + at), Float32Array.of(step, at), LINK);
    const part = memo.at(step);
    if (part !== null) await files.write(part);
  }
  const part = memo.at(step);
  if (part === null) throw new Error("nothing was added");
  return part;
}

const name = (turn: number, each: number): string => join(folder, `sums-${turn}-${each}`);

it("gives back what was written of two steps, and of no older one", async () => {
  const files = new MemoFiles(folder, KEY);
  await write(files, 6, 4);
  const before = await write(files, 7, 4);
  const now = await write(files, 8, 3);
  expect(await new MemoFiles(folder, KEY).read()).toEqual([before, now]);
});

it("a kill while a file was written costs the micro-batch that it was of", async () => {
  const part = await write(new MemoFiles(folder, KEY), 7, 3);
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
  await write(new MemoFiles(folder, KEY), 7, 3);
  rmSync(join(folder, "worked-1-0"));
  expect(await new MemoFiles(folder, KEY).read()).toEqual([]);
});

it("what another slice, or nobody, has left is nothing", async () => {
  await write(new MemoFiles(folder, KEY), 7, 3);
  expect(await new MemoFiles(folder, "run/2").read()).toEqual([]);
  expect(await new MemoFiles(join(folder, "none"), KEY).read()).toEqual([]);
});

it("a place that cannot be written to is left alone from then on", async () => {
  const inFile = join(folder, "file");
  writeFileSync(inFile, "not a folder");
  const files = new MemoFiles(inFile, KEY);
  await write(files, 7, 2);
  await write(files, 8, 2);
  expect(readdirSync(folder)).toEqual([]);
});

it("the head's micro-batches come from no digest, and the tail's have a loss", async () => {
  const files = new MemoFiles(folder, KEY);
  const part: StepPart = {
    step: 3,
    link: null,
    worked: [{ x: null, y: null, dy: null, dx: Float32Array.of(1), loss: 2.5 }],
    sums: new Float32Array(0),
  };
  await files.write(part);
  expect(await files.read()).toEqual([part]);
});
