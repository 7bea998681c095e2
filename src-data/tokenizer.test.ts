import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { TextParts } from "./text-parts.ts";
import { findTokenizer } from "./tokenizer.ts";
import type { TextPart, TextTokenizer } from "./tokenizer.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const golden = JSON.parse(readFileSync(join(fixtures, "tokenizers.golden.json"), "utf8")) as {
  inputs: string[];
  ids: Record<string, number[][]>;
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah tokenizer "));
  return () => rmSync(folder, { recursive: true, force: true });
});

async function ofKind(kind: string): Promise<TextTokenizer> {
  copyFileSync(join(fixtures, "tokenizers", `${kind}.json`), join(folder, "tokenizer.json"));
  const tokenizer = await findTokenizer([folder]);
  if (tokenizer === null) throw new Error("none");
  return tokenizer;
}

const whole = (text: string): TextPart => ({ text, continues: false });
const put = (value: unknown, name = "tokenizer.json"): void =>
  writeFileSync(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));

describe("token numbers are those of the reference", () => {
  it.each(Object.keys(golden.ids))("for a tokenizer of the kind %s", async (kind) => {
    const tokenizer = await ofKind(kind);
    expect(await tokenizer.encode(golden.inputs.map(whole))).toEqual(golden.ids[kind]);
  });

  it.each(Object.keys(golden.ids))("also where a long document was divided: %s", async (kind) => {
    const tokenizer = await ofKind(kind);
    const text = golden.inputs.join("\n").padEnd(66_500, golden.inputs.join("\n"));
    const parts = new TextParts();
    const divided = [...parts.add(text), ...parts.end()];
    expect(divided.length).toBeGreaterThan(1);
    expect(divided.map((part) => part.text).join("")).toBe(text);
    const [inOneGo] = await tokenizer.encode([whole(text)]);
    expect((await tokenizer.encode(divided)).flat()).toEqual(inOneGo);
  });
});

describe("a tokenizer.json", () => {
  it("of the first folder that has one is used, and none is none", async () => {
    expect(await findTokenizer([folder])).toBeNull();
    await ofKind("gpt-2");
    const tokenizer = await findTokenizer([join(folder, "none"), folder]);
    expect(tokenizer?.name).toBe(join(folder, "tokenizer.json"));
    expect(tokenizer?.largestToken).toBe(419);
  });

  it("names what ends a document: as its settings say, else by the usual names", async () => {
    expect((await ofKind("gpt-2")).endOfText).toEqual({ id: 0, text: "<|end|>" });
    expect((await ofKind("llama-2")).endOfText).toEqual({ id: 2, text: "</s>" });
    expect((await ofKind("bert")).endOfText).toEqual({ id: 3, text: "[SEP]" });
    expect((await ofKind("own-whitespace")).endOfText?.text).toBe("<|end|>");
    expect((await ofKind("own-word-level")).endOfText).toBeNull();
    put({ eos_token: { content: "fox" } }, "tokenizer_config.json");
    expect((await ofKind("own-single-word")).endOfText?.text).toBe("fox");
  });

  it("brings its chat template", async () => {
    const chat_template =
      "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m.content }}{% endfor %}";
    put({ bos_token: "<s>", chat_template }, "tokenizer_config.json");
    const messages = [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Ho" },
    ];
    expect((await ofKind("gpt-2")).chatTemplate?.render(messages)).toBe("<s>[user]Hi[assistant]Ho");
    put(
      {
        chat_template: [
          { name: "tool_use", template: "" },
          { name: "default", template: "{{ 1 + 1 }}" },
        ],
      },
      "tokenizer_config.json",
    );
    expect((await ofKind("gpt-2")).chatTemplate?.render(messages)).toBe("2");
    put("{{ messages | length }}", "chat_template.jinja");
    expect((await ofKind("gpt-2")).chatTemplate?.render(messages)).toBe("2");
    put("{% for", "chat_template.jinja");
    await expect(ofKind("gpt-2")).rejects.toMatchObject({ code: "bad-chat-template" });
  });

  it("encodes a line of any length", async () => {
    const tokenizer = await ofKind("gpt-2");
    const parts = new TextParts();
    const divided = [...parts.add("t".repeat(3_000_000)), ...parts.end()];
    expect(divided.map(({ text }) => text.length)).toEqual([1_048_576, 1_048_576, 902_848]);
    expect((await tokenizer.encode([whole("t".repeat(200_000))]))[0]?.length).toBeGreaterThan(1000);
  });

  it("that has no token for a part of the text says so", async () => {
    const model = {
      type: "WordPiece",
      vocab: { A: 0, line: 1, ".": 2 },
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
    };
    put({
      version: "1.0",
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "Whitespace" },
      post_processor: null,
      decoder: null,
      model,
    });
    const tokenizer = await findTokenizer([folder]);
    expect(await tokenizer?.encode([whole("A line.")])).toEqual([[0, 1, 2]]);
    await expect(tokenizer?.encode([whole("A word.")])).rejects.toThrow(
      /has no token for a part of the text/,
    );
  });

  it.each<[string, unknown]>([
    ["is not JSON", "{"],
    ["is no object", "7"],
    ["is empty", ""],
    ["is of an unknown kind", { ...small(), pre_tokenizer: { type: "Morse" } }],
    ["has no model", {}],
  ])("that %s is refused in one sentence", async (_, value) => {
    put(value);
    await expect(findTokenizer([folder])).rejects.toMatchObject({ code: "bad-tokenizer" });
    await expect(findTokenizer([folder])).rejects.toThrow(/cannot be used: .* token files/);
  });
});

function small(): object {
  return JSON.parse(readFileSync(join(fixtures, "tokenizers", "gpt-2.json"), "utf8")) as object;
}
