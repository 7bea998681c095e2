import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { release } from "../compute/compute-call.ts";
import { MemoFiles } from "./memo-files.ts";
import { LINK, RememberedStage, outputOf } from "./remembered-stage.test-support.ts";

const KEY = "run/1";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-remembered-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("what was on its way and is answered again is still there when its gradient is written down", async () => {
  const files = new MemoFiles(folder, KEY);
  const stage = new RememberedStage({ files });
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  await stage.backward(0, 20);
  stage.generation(7, LINK, true);
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
