import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BegunStage } from "./begun-stage.ts";

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "tah-begun-")), "begun.json");
});
afterEach(() => rmSync(join(path, ".."), { recursive: true, force: true }));

test("the stage of before is asked for again after a kill, once, and not where states of it are stored", async () => {
  const first = await BegunStage.open(path);
  expect(first.beside([])).toEqual([]);
  first.note("run", 1);
  expect(first.beside([])).toEqual([{ runId: "run", stage: 1, steps: [] }]);
  await expect.poll(async () => (await BegunStage.open(path)).beside([])).toHaveLength(1);

  const again = await BegunStage.open(path);
  const stored = { runId: "run", stage: 1, steps: [{ step: 3, digest: "a".repeat(64) }] };
  expect(again.beside([stored])).toEqual([stored]);
  const other = { ...stored, stage: 0 };
  expect(again.beside([other])).toEqual([{ runId: "run", stage: 1, steps: [] }, other]);
});

test("a file that is damaged is none", async () => {
  for (const text of ["", "{", '{"runId":"run","stage":-1}', '{"runId":"run","stage":1,"steps":[]}']) {
    writeFileSync(path, text);
    expect((await BegunStage.open(path)).beside([])).toEqual([]);
  }
});
