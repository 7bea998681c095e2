import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noteRun } from "./last-run.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tah last run "))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const OWN = { runId: "run-a", corpus: "letters", data: "/home/ada/letters" };
const TEXTS = { runId: "run-b", corpus: "Moby-Dick and others", data: null };

test("who forgets --data hears that another run begins, and how to go on with the one before", () => {
  expect(noteRun(folder, OWN)).toBeNull();
  expect(noteRun(folder, OWN)).toBeNull();
  expect(noteRun(folder, TEXTS)).toBe(
    "This is another run than last time, on Moby-Dick and others. The one on letters is kept as it was: start with --data /home/ada/letters to go on with it.",
  );
  expect(noteRun(folder, TEXTS)).toBeNull();
  expect(noteRun(folder, OWN)).toContain("start without --data");
});
