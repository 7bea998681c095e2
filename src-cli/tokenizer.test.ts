import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { findTokenizer } from "./tokenizer.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah tokenizer "));
  return () => rmSync(folder, { recursive: true, force: true });
});

/** A byte-level BPE as GPT-2's, with the bytes of ASCII, three merges and one special token. */
function small(): object {
  const letters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const tokens = [...letters, "Ġ", "Ċ", "th", "the", "Ġthe"];
  return {
    version: "1.0",
    added_tokens: [
      {
        id: tokens.length,
        content: "<|end|>",
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [
        ["t", "h"],
        ["th", "e"],
        ["Ġ", "the"],
      ],
    },
  };
}

const put = (value: unknown, name = "tokenizer.json"): void =>
  writeFileSync(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));

describe("a tokenizer.json", () => {
  it("of the first folder that has one is used, and none is none", async () => {
    expect(await findTokenizer([folder])).toBeNull();
    put(small());
    const tokenizer = await findTokenizer([join(folder, "none"), folder]);
    expect(tokenizer?.name).toBe(join(folder, "tokenizer.json"));
    expect(tokenizer?.encode("the the\n<|end|>th")).toEqual([97, 98, 95, 99, 96]);
  });

  it("encodes text of any length, the same as in one go where it is cut at line ends", async () => {
    put(small());
    const tokenizer = await findTokenizer([folder]);
    const lines = "the the\n".repeat(50_000);
    expect(tokenizer?.encode(lines)).toEqual(Array.from({ length: 150_000 }, (_, i) => [97, 98, 95][i % 3]));
    expect(tokenizer?.encode("t".repeat(200_000))).toHaveLength(200_000);
  });

  it("that has no token for a part of the text says so", async () => {
    const model = { type: "WordPiece", vocab: { A: 0, line: 1, ".": 2 }, unk_token: "[UNK]" };
    put({ ...small(), added_tokens: [], pre_tokenizer: { type: "Whitespace" }, model });
    const tokenizer = await findTokenizer([folder]);
    expect(tokenizer?.encode("A line.")).toEqual([0, 1, 2]);
    expect(() => tokenizer?.encode("A word.")).toThrow(/has no token for a part of the text/);
  });

  it.each<[string, unknown]>([
    ["is not JSON", "{"],
    ["is no object", "7"],
    ["is of an unknown kind", { ...small(), pre_tokenizer: { type: "Morse" } }],
    ["has no model", {}],
  ])("that %s is refused in one sentence", async (_, value) => {
    put(value);
    await expect(findTokenizer([folder])).rejects.toMatchObject({ code: "bad-tokenizer" });
    await expect(findTokenizer([folder])).rejects.toThrow(/cannot be used: .* token files/);
  });
});
