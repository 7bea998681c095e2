import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { JournalFile } from "./journal-file.ts";

const FIRST = { state: new Map([["a", new Set([1, -Infinity])]]) };
const RECORDS = [{ step: 1 }, { step: 2, text: "ü".repeat(50) }, { step: 3 }];

function written(): { readonly path: string; readonly journal: JournalFile } {
  const path = join(temporaryFolder(), "journal");
  const journal = new JournalFile(path);
  journal.begin(FIRST);
  for (const record of RECORDS) journal.append(record);
  return { path, journal };
}

test("what was written is read, as the data that it was, also when nobody has closed it", () => {
  const { path } = written();
  expect(new JournalFile(path).read()).toEqual([FIRST, ...RECORDS]);
  expect(new JournalFile(`${path}-of-nobody`).read()).toBe(null);
});

test("only its owner reads it", { skip: process.platform === "win32" }, () => {
  expect(statSync(written().path).mode & 0o777).toBe(0o600);
});

test("cut off or changed anywhere, it is what was whole before that", () => {
  const { path } = written();
  const all = [FIRST, ...RECORDS];
  const bytes = readFileSync(path);
  for (let at = 0; at < bytes.length; at++) {
    writeFileSync(path, bytes.subarray(0, at));
    const cut = new JournalFile(path).read() ?? [];
    expect(cut).toEqual(all.slice(0, cut.length));
    expect(cut.length).toBeLessThan(all.length);
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    writeFileSync(path, changed);
    const left = new JournalFile(path).read() ?? [];
    expect(left).toEqual(all.slice(0, left.length));
    expect(left.length).toBeLessThan(all.length);
  }
});

test("begun anew it has nothing of before, and a kill while that is written leaves the one of before", () => {
  const { path, journal } = written();
  writeFileSync(`${path}.new`, "half of a new one");
  expect(new JournalFile(path).read()).toHaveLength(4);
  journal.begin({ now: "another" });
  journal.append(5);
  expect(new JournalFile(path).read()).toEqual([{ now: "another" }, 5]);
});

test("it is full when it would take long to do all again, and not before it is some times its beginning", () => {
  const { journal } = written();
  expect(journal.isFull).toBe(false);
  for (let i = 0; i < 5_000; i++) journal.append(i);
  expect(journal.isFull).toBe(true);
  journal.begin({ large: "x".repeat(2_000_000) });
  for (let i = 0; i < 3; i++) journal.append({ large: "x".repeat(1_000_000) });
  expect(journal.isFull).toBe(false);
  for (let i = 0; i < 2; i++) journal.append({ large: "x".repeat(1_000_000) });
  expect(journal.isFull).toBe(true);
});

test("where it cannot be written there is none, and later it can be begun again", () => {
  const { path, journal } = written();
  const folder = join(path, "..");
  rmSync(folder, { recursive: true });
  journal.begin(FIRST);
  journal.append(1);
  expect([journal.isOpen, journal.isFull, journal.read()]).toEqual([false, false, null]);
  const here = new JournalFile(join(temporaryFolder(), "journal"));
  here.begin(FIRST);
  here.remove();
  here.append(1);
  expect(here.read()).toBe(null);
  here.begin(FIRST);
  expect(here.read()).toEqual([FIRST]);
});
