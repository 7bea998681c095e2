import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { RUN_RECORD_FILE, parseRecord } from "../../src-protocol/run-record.ts";
import { testRun } from "./fleet.test-support.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { RunRecord } from "./run-record.ts";

const link = (letter: string): string => letter.repeat(64);
const none = (): void => undefined;

it("a record goes on where it was, also after a kill in the middle of a line and with another number of steps", () => {
  const folder = temporaryFolder();
  const path = join(folder, RUN_RECORD_FILE);
  const run = testRun();
  const first = RunRecord.open(folder, run, none);
  first.add(1, 0, link("a"));
  first.add(1, 1, link("b"));
  first.flush();
  appendFileSync(path, '[2,0,"cccc');
  const second = RunRecord.open(folder, { ...run, steps: 77 }, none);
  second.add(2, 0, link("d"));
  second.flush();
  const { links } = parseRecord(readFileSync(path, "utf8"));
  expect(links.get(1)).toEqual(
    new Map([
      [0, link("a")],
      [1, link("b")],
    ]),
  );
  expect(links.get(2)).toEqual(new Map([[0, link("d")]]));
});

it("another run's record is kept beside, and trouble with the disk is told", () => {
  const folder = temporaryFolder();
  const path = join(folder, RUN_RECORD_FILE);
  writeFileSync(path, "somebody's notes\n");
  const troubles: unknown[] = [];
  const record = RunRecord.open(folder, testRun(), (error) => troubles.push(error));
  record.add(3, 0, link("e"));
  record.flush();
  expect(readFileSync(join(folder, "record.old.jsonl"), "utf8")).toBe("somebody's notes\n");
  expect(parseRecord(readFileSync(path, "utf8")).links.size).toBe(1);
  const gone = RunRecord.open(join(folder, "gone"), testRun(), (error) => troubles.push(error));
  gone.add(1, 0, link("f"));
  gone.flush();
  expect(troubles).toHaveLength(1);
});
