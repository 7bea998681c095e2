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
import { Failure } from "../../src-protocol/failure.ts";
import { SMALLEST_CORPUS_BYTES, defaultCorpus, ownCorpus } from "./corpus.ts";

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

async function codeOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
  return "no failure";
}

describe("the default text", () => {
  it("is over 10 MB of English and is gathered once", async () => {
    const first = await defaultCorpus(cache);
    expect(first.bytes).toBeGreaterThan(10_000_000);
    const words = readFileSync(first.file, "utf8");
    expect(words).toContain("Call me Ishmael");
    expect(words.slice(-first.bytes / 20)).toMatch(/America/);
    const stored = readdirSync(cache).sort();
    expect(await defaultCorpus(cache)).toEqual(first);
    expect(readdirSync(cache).sort()).toEqual(stored);
  });
});

describe("a folder of one's own", () => {
  it("gives its text files in order of their names, whatever they are called", async () => {
    mkdirSync(join(data, "b"));
    writeFileSync(join(data, "b", "notes.md"), text("b"));
    writeFileSync(join(data, "a.txt"), text("a"));
    writeFileSync(join(data, "c"), text("c"));
    writeFileSync(join(data, "picture.txt"), Buffer.from([0xff, 0xd8, 0, 1, 2, 3]));
    writeFileSync(join(data, ".hidden"), text("x"));
    const corpus = await ownCorpus(data, cache);
    const whole = `${text("a")}\n\n${text("b")}\n\n${text("c")}\n\n`;
    expect(readFileSync(corpus.file, "utf8")).toBe(whole);
    expect(corpus).toMatchObject({
      name: "data",
      documents: 3,
      sha256: createHash("sha256").update(whole).digest("hex"),
    });
  });

  it("is another text, with another digest, once a file has changed", async () => {
    writeFileSync(join(data, "a.txt"), text("a"));
    const before = await ownCorpus(data, cache);
    writeFileSync(join(data, "a.txt"), `${text("a")}more`);
    expect((await ownCorpus(data, cache)).sha256).not.toBe(before.sha256);
  });

  it("follows links inside it and ends where they lead back", async () => {
    writeFileSync(join(root, "outside.txt"), text("o"));
    writeFileSync(join(data, "a.txt"), text("a"));
    symlinkSync(data, join(data, "up"));
    symlinkSync(join(root, "outside.txt"), join(data, "linked.txt"));
    symlinkSync(join(root, "nowhere"), join(data, "broken"));
    expect((await ownCorpus(data, cache)).documents).toBe(1);
  });

  it("is gathered again when the cached text is gone", async () => {
    writeFileSync(join(data, "a"), text("a"));
    const before = await ownCorpus(data, cache);
    rmSync(before.file);
    expect(readFileSync((await ownCorpus(data, cache)).file, "utf8")).toContain("a ä €");
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ["is missing", () => ownCorpus(join(root, "none"), cache), "data-missing"],
    ["is empty", () => ownCorpus(data, cache), "data-empty"],
    [
      "holds only binary files",
      () => {
        writeFileSync(join(data, "a"), Buffer.from([1, 0, 2]));
        writeFileSync(join(data, "empty"), "");
        return ownCorpus(data, cache);
      },
      "data-not-text",
    ],
    [
      "holds too little",
      () => {
        writeFileSync(join(data, "a"), "Hello");
        return ownCorpus(data, cache);
      },
      "data-too-small",
    ],
  ])("that %s is refused with a sentence, and nothing is left behind", async (_case, action, code) => {
    expect(await codeOf(action)).toBe(code);
    expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
  });
});
