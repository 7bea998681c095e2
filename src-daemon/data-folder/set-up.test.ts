import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openHome } from "./home.ts";
import { SetUp } from "./set-up.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "set up "))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a new folder waits for a yes, and remembers it", () => {
  const home = openHome(folder);
  const setUp = new SetUp(home);
  expect(setUp.isDone).toBe(false);
  setUp.finish(7);
  expect([setUp.isDone, new SetUp(home).isDone]).toEqual([true, true]);
});

test("a folder that was used before there was a question is not asked", () => {
  const home = openHome(folder);
  mkdirSync(home.network);
  expect(new SetUp(home).isDone).toBe(true);
});
