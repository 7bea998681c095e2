import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { release } from "../compute/compute-call.ts";
import { MemoFiles } from "./memo-files.ts";
import { LINK, RememberedStage, outputOf, wholeStep } from "./remembered-stage.test-support.ts";

const KEY = "run/1";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-remembered-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The head in a process that takes over what the one before has left; that was killed. */
async function headAt(step: number): Promise<RememberedStage> {
  const files = new MemoFiles(folder, KEY);
  return new RememberedStage({ step, isHead: true, files, left: await files.read() });
}

/** It has done all of step 6 and begun step 7. */
async function aheadOfOthers(): Promise<RememberedStage> {
  const head = await headAt(6);
  await wholeStep(head, 6);
  await beginSeven(head);
  return head;
}

async function beginSeven(head: RememberedStage): Promise<void> {
  await head.forward(0, 10, 7);
  await head.backward(0, 40, 7);
}

it("what was on its way and is answered again is still there when its gradient is written down", async () => {
  const files = new MemoFiles(folder, KEY);
  const stage = new RememberedStage({ files });
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  await stage.backward(0, 20);
  await stage.generation(7, LINK, true);
  await stage.forward(0, 10);
  await stage.backward(0, 20);
  const sent = await stage.giveForward(1, 11);
  const writing = Promise.withResolvers<void>();
  stage.arithmetic.writing = writing.promise;
  const { noted } = await stage.giveBackward(1, 21);
  // It has left on its link only now.
  const y = outputOf(sent) ?? new Float32Array(0);
  if (!stage.jobs.isHeld(y)) release(y);
  writing.resolve();
  await noted;
  const [part] = await new MemoFiles(folder, KEY).read();
  expect(part?.worked.map((each) => each.y)).toEqual([Float32Array.of(10), Float32Array.of(11)]);
});

it("a process that takes over goes through both steps and computes nothing", async () => {
  const before = await aheadOfOthers();
  const head = await headAt(6);
  await wholeStep(head, 6);
  await beginSeven(head);
  expect(head.arithmetic.parameter).toBe(before.arithmetic.parameter);
  expect(head.arithmetic.sum).toBe(10 * 40);
  expect(head.arithmetic.passes).toEqual([]);
});

it("after trouble of its own and a kill, nothing is left of a later step of another way", async () => {
  const troubled = await aheadOfOthers();
  troubled.jobs.forget();
  troubled.arithmetic.parameter = 1;
  await troubled.generation(6, LINK);
  await wholeStep(troubled, 6, { gradient: 50 });
  const head = await headAt(6);
  await wholeStep(head, 6, { gradient: 50 });
  expect(head.arithmetic.passes).toEqual([]);
  expect(await head.forward(0, 10, 7)).toBe(10 * troubled.arithmetic.parameter);
});

/** Of step 6, what comes after its first micro-batch, from another neighbour than in `wholeStep`. */
async function restAnotherWay(head: Awaited<ReturnType<typeof headAt>>): Promise<void> {
  for (const m of [1, 2, 3]) {
    await head.forward(m, 10 + m, 6);
    await head.backward(m, 50 + m, 6);
  }
}

it("a step that goes on another way after a kill leaves nothing of a later one for the next process", async () => {
  const slow = await headAt(6);
  slow.arithmetic.writingMs = 1;
  await wholeStep(slow, 6);
  slow.arithmetic.passMs = 1000;
  await beginSeven(slow);
  const other = await headAt(6);
  await other.forward(0, 10, 6);
  await other.backward(0, 20, 6);
  await restAnotherWay(other);
  expect(other.arithmetic.passes).not.toContain("backward 0");
  await other.step(6);
  const head = await headAt(6);
  await head.forward(0, 10, 6);
  await head.backward(0, 20, 6);
  await restAnotherWay(head);
  expect(head.arithmetic.passes).toEqual([]);
  await head.step(6);
  expect(await head.forward(0, 10, 7)).toBe(10 * other.arithmetic.parameter);
});

it("a step that was computed after all leaves nothing of itself beside what follows on it", async () => {
  const other = await aheadOfOthers();
  other.arithmetic.parameter = 1;
  await other.generation(6, LINK);
  await wholeStep(other, 6, { gradient: 50 });
  await beginSeven(other);
  const head = await headAt(6);
  await wholeStep(head, 6);
  expect(await head.forward(0, 10, 7)).toBe(10 * head.arithmetic.parameter);
});

it("while sums are written down no others are, so that the file of those before them stays whole", async () => {
  const stage = new RememberedStage({ files: new MemoFiles(folder, KEY) });
  for (const m of [0, 1, 2]) await stage.forward(m, 10 + m);
  const writing = Promise.withResolvers<void>();
  stage.arithmetic.writing = writing.promise;
  const given = [await stage.giveBackward(0, 20), await stage.giveBackward(1, 21)];
  expect(stage.arithmetic.written).toHaveLength(1);
  writing.resolve();
  await Promise.all(given.map(({ noted }) => noted));
  await stage.backward(2, 22);
  expect(new Set(stage.arithmetic.written).size).toBe(2);
});
