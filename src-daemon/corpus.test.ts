import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../src-protocol/failure.ts";
import { SMALLEST_CORPUS_BYTES, dataFailure, defaultCorpus, folderCorpus } from "./corpus.ts";

let root: string;
let data: string;
let cache: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tah corpus "));
  data = join(root, "data");
  cache = join(root, "cache");
  mkdirSync(data);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const text = (letter: string) => `${letter} ä €\n`.repeat(SMALLEST_CORPUS_BYTES / 8);

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
  return "no failure";
}

describe("the default text", () => {
  it("is over 10 MB of English and is gathered once", () => {
    const first = defaultCorpus(cache);
    expect(first.bytes).toBeGreaterThan(10_000_000);
    const words = readFileSync(first.file, "utf8");
    expect(words).toContain("Call me Ishmael");
    expect(words.slice(-first.bytes / 20)).toMatch(/America/);
    const stored = readdirSync(cache).sort();
    expect(defaultCorpus(cache)).toEqual(first);
    expect(readdirSync(cache).sort()).toEqual(stored);
  });
});

describe("a folder of one's own", () => {
  it("gives its text files in order of their names, whatever they are called", () => {
    mkdirSync(join(data, "b"));
    writeFileSync(join(data, "b", "notes.md"), text("b"));
    writeFileSync(join(data, "a.txt"), text("a"));
    writeFileSync(join(data, "c"), text("c"));
    writeFileSync(join(data, "picture.txt"), Buffer.from([0xff, 0xd8, 0, 1, 2, 3]));
    writeFileSync(join(data, ".hidden"), text("x"));
    const corpus = folderCorpus(data, cache);
    const whole = `${text("a")}\n\n${text("b")}\n\n${text("c")}\n\n`;
    expect(readFileSync(corpus.file, "utf8")).toBe(whole);
    expect(corpus).toMatchObject({
      name: "data",
      documents: 3,
      skipped: 1,
      sha256: createHash("sha256").update(whole).digest("hex"),
    });
  });

  it("is another text, with another digest, once a file has changed", () => {
    writeFileSync(join(data, "a.txt"), text("a"));
    const before = folderCorpus(data, cache);
    writeFileSync(join(data, "a.txt"), `${text("a")}more`);
    expect(folderCorpus(data, cache).sha256).not.toBe(before.sha256);
  });

  it("takes back a file that turns out to be binary after its first megabyte", () => {
    writeFileSync(join(data, "a"), text("a"));
    writeFileSync(join(data, "b"), Buffer.concat([Buffer.alloc(1_000_000, "b"), Buffer.from([0xc3])]));
    const corpus = folderCorpus(data, cache);
    expect(readFileSync(corpus.file, "utf8")).toBe(`${text("a")}\n\n`);
  });

  it("follows links and ends where they lead back", () => {
    writeFileSync(join(root, "outside.txt"), text("o"));
    symlinkSync(root, join(data, "up"));
    symlinkSync(join(root, "outside.txt"), join(data, "linked.txt"));
    symlinkSync(join(root, "nowhere"), join(data, "broken"));
    expect(folderCorpus(data, cache).documents).toBe(2);
  });

  it("is gathered again when the cached text is gone", () => {
    writeFileSync(join(data, "a"), text("a"));
    const before = folderCorpus(data, cache);
    rmSync(before.file);
    expect(readFileSync(folderCorpus(data, cache).file, "utf8")).toContain("a ä €");
  });

  it.each<[string, () => unknown, string]>([
    ["is missing", () => folderCorpus(join(root, "none"), cache), "data-missing"],
    [
      "is a file",
      () => {
        writeFileSync(join(root, "file"), "x");
        return folderCorpus(join(root, "file"), cache);
      },
      "data-not-a-folder",
    ],
    ["is empty", () => folderCorpus(data, cache), "data-empty"],
    [
      "holds only binary files",
      () => {
        writeFileSync(join(data, "a"), Buffer.from([1, 0, 2]));
        writeFileSync(join(data, "empty"), "");
        return folderCorpus(data, cache);
      },
      "data-not-text",
    ],
    [
      "holds too little",
      () => {
        writeFileSync(join(data, "a"), "Hello");
        return folderCorpus(data, cache);
      },
      "data-too-small",
    ],
    [
      "holds too much",
      () => {
        writeFileSync(join(data, "a"), text("a"));
        return folderCorpus(data, cache, 1000);
      },
      "data-too-large",
    ],
  ])("that %s is refused with a sentence, and nothing is left behind", (_case, action, code) => {
    expect(codeOf(action)).toBe(code);
    expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
  });

  it("without permission is refused with a sentence", () => {
    expect(dataFailure("/theirs", Object.assign(new Error(), { code: "EACCES" })).message).toMatch(
      /no permission to read \/theirs/,
    );
  });
});
