import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "../src-protocol/signing.ts";
import { gatherData } from "./gather-data.ts";
import type { DataOptions, TrainingData } from "./gather-data.ts";
import { openParquet } from "./parquet-records.ts";
import { findTokenizer } from "./tokenizer.ts";

const fixtures = join(import.meta.dirname, "fixtures");
let root: string;
let folder: string;
let into: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tah data "));
  folder = join(root, "novels");
  into = join(root, "gathered");
  mkdirSync(folder);
  return () => rmSync(root, { recursive: true, force: true });
});

const put = (name: string, content: string | NodeJS.ArrayBufferView, at = folder): void => {
  mkdirSync(join(at, name, ".."), { recursive: true });
  writeFileSync(join(at, name), content);
};
const fixture = (name: string, as = name): void => copyFileSync(join(fixtures, name), join(folder, as));
const gather = (options: Partial<DataOptions> = {}, given = folder): Promise<TrainingData> =>
  gatherData(given, { vocabulary: 300, into, tokenizer: null, ...options });
const text = (): string => readFileSync(into, "utf8");
const numbers = (width: 2 | 4 = 2): number[] => {
  const { buffer } = new Uint8Array(readFileSync(into));
  return [...(width === 2 ? new Uint16Array(buffer) : new Uint32Array(buffer))];
};
const left = ({ leftOut }: TrainingData): Record<string, string> =>
  Object.fromEntries(leftOut.map(({ name, why }) => [name, why]));
const as = ({ taken }: TrainingData): Record<string, string> =>
  Object.fromEntries(taken.map((file) => [file.name, file.as]));
const utf16 = (value: string, isBig = false): Buffer => {
  const bytes = Buffer.from(value, "utf16le");
  return isBig ? bytes.swap16() : bytes;
};

describe("text", () => {
  it("becomes its bytes, file by file in the order of their names", async () => {
    put("b/two.md", "zwei ä");
    put("a.txt", "eins\n");
    put("c", "drei");
    const data = await gather();
    expect(text()).toBe("eins\n\n\nzwei ä\n\ndrei\n\n");
    expect(data).toMatchObject({ kind: "bytes of text", tokens: 22, heldOutTokens: null });
    expect(data.taken.map(({ name, tokens }) => [name, tokens])).toEqual([
      ["a.txt", 7],
      ["b/two.md", 9],
      ["c", 6],
    ]);
    expect(data.corpus).toEqual({
      name: "novels",
      sha256: sha256(readFileSync(into)),
      bytes: 22,
      tokenBytes: 1,
    });
  });

  it("is one file as well as a folder, whatever it is called", async () => {
    put("README.md", "only this");
    put("other.txt", "not this");
    expect(await gather({}, join(folder, "README.md"))).toMatchObject({
      corpus: { name: "README.md" },
      tokens: 11,
    });
    expect(text()).toBe("only this\n\n");
  });

  it.each<[string, NodeJS.ArrayBufferView, string]>([
    ["UTF-8 with a mark", Buffer.from("\uFEFFÄpfel"), "text"],
    ["UTF-16 with a mark", utf16("\uFEFFÄpfel"), "text, UTF-16"],
    ["UTF-16 with the other mark", utf16("\uFEFFÄpfel", true), "text, UTF-16 (big-endian)"],
    ["UTF-16 without", utf16("Äpfel und Birnen"), "text, UTF-16"],
    ["UTF-16 without, big-endian", utf16("Äpfel und Birnen", true), "text, UTF-16 (big-endian)"],
    ["Latin-1", Buffer.from("Äpfel und Öl", "latin1"), "text, Latin-1 (windows-1252)"],
    ["gzip", gzipSync("Äpfel"), "text, gzip"],
    ["zstd", zstdCompressSync("Äpfel"), "text, zstd"],
  ])("is read as what it is: %s", async (_, bytes, kind) => {
    put("a.txt", bytes);
    const data = await gather();
    expect(as(data)).toEqual({ "a.txt": kind });
    expect(text()).toMatch(/^Äpfel/);
    expect(data.taken[0]?.notes).toEqual([]);
  });

  it("loses no more than the place where it is damaged", async () => {
    const clean = "A line of text with ä.\n".repeat(50_000);
    for (const [byte, letter] of [
      [0xe9, "\uFFFD"],
      [0, ""],
    ] as const) {
      const bytes = Buffer.from(clean);
      bytes[900_001] = byte;
      put("a.txt", bytes);
      const data = await gather();
      expect(data.taken[0]?.notes).toEqual([expect.stringMatching(/^1 place is no text/)]);
      const before = Buffer.from(clean).subarray(0, 900_001).toString();
      expect(text().slice(0, before.length + letter.length)).toBe(before + letter);
      expect(text().length).toBe(clean.length + 2 - 1 + letter.length);
    }
  });

  it("that is packed and was cut off counts up to there", async () => {
    const whole = gzipSync(Buffer.from(Array.from({ length: 200_000 }, (_, i) => `${i}\n`).join("")));
    put("a.txt.gz", whole.subarray(0, whole.length / 2));
    const data = await gather();
    expect(data.taken[0]?.notes).toEqual([expect.stringMatching(/packing \(gzip\) is damaged/)]);
    expect(data.tokens).toBeGreaterThan(100_000);
  });

  it("takes letters apart nowhere, however the file is read", async () => {
    const letters = "ä😀".repeat(400_000);
    put("a.txt", letters);
    await gather();
    expect(text()).toBe(`${letters}\n\n`);
  });

  it("with line ends of Windows has those that models know", async () => {
    put("a.txt", "one\r\ntwo\r\rthree\r");
    await gather();
    expect(text()).toBe("one\ntwo\r\rthree\r\n\n");
  });
});

describe("records", () => {
  const RECORDS = [
    { id: 1, text: "eins", url: "u" },
    { id: 2, text: 'zwei\n"x"' },
  ];
  const lines = RECORDS.map((record) => JSON.stringify(record)).join("\n");
  const RESULT = 'eins\n\nzwei\n"x"\n\n';

  it.each<[string, string | NodeJS.ArrayBufferView, string]>([
    ["a.jsonl", lines, 'JSON lines, column "text"'],
    ["a.jsonl.gz", gzipSync(lines), 'JSON lines, column "text", gzip'],
    ["a.jsonl.zst", zstdCompressSync(lines), 'JSON lines, column "text", zstd'],
    ["a.json", JSON.stringify(RECORDS, null, 2), 'JSON, column "text"'],
    ["lines.json", lines, 'JSON, column "text"'],
    ["data.json", JSON.stringify({ version: 1, data: RECORDS }), 'JSON, column "text"'],
    ["a.csv", 'id,label,text\n1,x,eins\r\n2,"y,z","zwei\n""x"""\n', 'CSV, column "text"'],
    ["a.tsv", 'text\tid\neins\t1\n"zwei\n""x"""\t2', 'CSV, column "text"'],
    ["a.jsonl", utf16(`\uFEFF${lines}`), 'JSON lines, column "text", UTF-16'],
  ])("are documents: %s", async (name, content, kind) => {
    put(name, content);
    expect(as(await gather())).toEqual({ [name]: kind });
    expect(text()).toBe(RESULT);
  });

  it.each(["none", "snappy", "gzip", "zstd", "brotli", "lz4"])(
    "are documents: parquet, %s",
    async (codec) => {
      fixture(`text-${codec}.parquet`);
      fixture("chat.parquet", "README.md.parquet");
      const data = await gather({ exclude: ["README*"] });
      expect(as(data)).toEqual({ [`text-${codec}.parquet`]: 'parquet, column "text"' });
      expect(text()).toBe(Array.from({ length: 200 }, (_, i) => `Text ${i}: ä€😀\nsecond line\n\n`).join(""));
    },
  );

  it.each(["text-none", "text-snappy", "text-zstd", "text-lz4", "chat"])(
    "of parquet are the same in slices as in one go: %s",
    async (name) => {
      const parquet = await openParquet(join(fixtures, `${name}.parquet`));
      const column = name === "chat" ? "messages" : "text";
      const all = async (bytes?: number): Promise<unknown[]> =>
        await collected(parquet.records(column, (why) => expect(why).toBe(""), undefined, bytes));
      const whole = await all();
      expect(whole).toHaveLength(parquet.rows);
      for (const bytes of [1, 100]) expect(await all(bytes)).toEqual(whole);
      await parquet.close();
    },
  );

  it("that are strings are documents as they are", async () => {
    put("a.jsonl", '"one"\n"two"');
    await gather();
    expect(text()).toBe("one\n\ntwo\n\n");
  });

  it("in another column are taken when it is named, or is the only text", async () => {
    put("a.jsonl", '{"n":"1","body":{"de":"eins"},"x":"y"}');
    put("b.csv", "Review\nwell done\n");
    expect(left(await gather())["a.jsonl"]).toBe('no column "text"; name one of n, body, x with --column');
    expect(text()).toBe("well done\n\n");
    expect(left(await gather({ column: "body.de" }))["b.csv"]).toBe('no column "body.de"; it has Review');
    expect(text()).toBe("eins\n\n");
    rmSync(join(folder, "a.jsonl"));
    rmSync(join(folder, "b.csv"));
    fixture("columns.parquet");
    await expect(gather()).rejects.toThrow(
      /columns\.parquet \(no column "text"; name one of a, b with --column\)/,
    );
    await gather({ column: "b" });
    expect(text()).toBe("y\n\n");
  });

  it("that are damaged cost themselves", async () => {
    put("a.jsonl", '{"text":"one"}\n{"text":"tw\n\n{"text":"three"}\n{"other":1}\n');
    const { taken } = await gather();
    expect(text()).toBe("one\n\nthree\n\n");
    expect(taken[0]?.notes).toEqual([
      "1 of its records could not be taken, the first is number 2 (no JSON)",
      '1 of its records have no text in "text"',
    ]);
    put("a.csv", "text,n\none,1\ntwo\nthree,3\n");
    expect((await gather({ exclude: ["*.jsonl"] })).taken[0]?.notes).toEqual([
      "1 of its records could not be taken, the first is number 2 (has 1 fields, and the first row 2)",
    ]);
  });

  it("that are conversations go through the tokenizer's chat template, or it is said how else", async () => {
    const chat = [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Ho" },
    ];
    put("a.jsonl", JSON.stringify({ messages: chat }));
    put(
      "b.jsonl",
      JSON.stringify({
        conversations: [
          { from: "human", value: "Hi" },
          { from: "gpt", value: "Ho" },
        ],
      }),
    );
    fixture("chat.parquet", "c.parquet");
    const data = await gather();
    expect(as(data)["b.jsonl"]).toBe('JSON lines, conversations in column "conversations"');
    expect(
      text().startsWith("user: Hi\n\nassistant: Ho\n\nuser: Hi\n\nassistant: Ho\n\nuser: How much is 0 + 1?"),
    ).toBe(true);
    expect(data.notes).toEqual(expect.arrayContaining([expect.stringMatching(/no chat template/)]));

    const model = join(root, "model");
    mkdirSync(model);
    copyFileSync(join(fixtures, "tokenizers", "gpt-2.json"), join(model, "tokenizer.json"));
    const chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<|end|>";
    put("tokenizer_config.json", JSON.stringify({ chat_template, eos_token: "<|end|>" }), model);
    const tokenizer = await findTokenizer([model]);
    const templated = await gather({ tokenizer, vocabulary: 420, exclude: ["c.*"] });
    expect(as(templated)["a.jsonl"]).toBe(
      'JSON lines, conversations in column "messages", through the chat template of tokenizer_config.json',
    );
    const [ids = []] =
      (await tokenizer?.encode([{ text: "<user>Hi<assistant>Ho<|end|>", continues: false }])) ?? [];
    // The template's own end-of-text token is not followed by another.
    expect(numbers()).toEqual([...ids, ...ids]);
  });
});

describe("token files", () => {
  const IDS = [1, 299, 2, 7, 250, 3];

  it.each<[string, NodeJS.ArrayBufferView, string]>([
    ["a.u16", Uint16Array.from(IDS), "token numbers of 16 bits"],
    ["a.u32", Uint32Array.from(IDS), "token numbers of 32 bits"],
    ["nano.bin", Uint16Array.from(IDS), "token numbers of 16 bits"],
    ["wide.bin", Int32Array.from(IDS), "token numbers of 32 bits, by their values"],
    [
      "big.u16",
      Buffer.from(Uint16Array.from(IDS).buffer).swap16(),
      "token numbers of 16 bits, big-endian by their values",
    ],
    ["a.npy", npy("<u2", Uint16Array.from(IDS)), "NumPy array of 16-bit token numbers"],
    ["b.npy", npy("<i8", BigInt64Array.from(IDS.map(BigInt))), "NumPy array of 64-bit token numbers"],
    [
      "c.npy",
      npy(">u4", Buffer.from(Uint32Array.from(IDS).buffer).swap32()),
      "NumPy array of 32-bit token numbers",
    ],
    ["gpt2.bin", llmC(20240520, 1, Uint16Array.from(IDS)), "tokens of llm.c (GPT-2, 16 bits)"],
    ["llama3.bin", llmC(20240801, 7, Uint32Array.from(IDS)), "tokens of llm.c (Llama-3, 32 bits)"],
  ])("are read as what they are: %s", async (name, bytes, kind) => {
    put(name, bytes);
    for (const vocabulary of [300, 128_256]) {
      const width = vocabulary === 300 ? 2 : 4;
      // Six numbers say nothing of their byte order to a model that knows all of them.
      if (name === "big.u16" && width === 4) continue;
      const data = await gather({ vocabulary });
      expect(as(data)).toEqual({ [name]: kind });
      expect(numbers(width)).toEqual(IDS);
      expect(data.corpus).toMatchObject({ tokenBytes: width });
    }
  });

  it("of Megatron are read by their index", async () => {
    put("a_text_document.bin", Int32Array.from(IDS));
    put("a_text_document.idx", megatronIndex(4, [2, 4]));
    const data = await gather({ vocabulary: 128_256 });
    expect(as(data)).toEqual({ "a_text_document.bin": "tokens of Megatron (32 bits, 2 sequences)" });
    expect(left(data)).toEqual({ "a_text_document.idx": "index of a token file" });
    expect(numbers(4)).toEqual(IDS);
    put("a_text_document.idx", megatronIndex(4, [2, 5]));
    await expect(gather()).rejects.toThrow(/speaks of 7 tokens, and 6 are there/);
    put("a_text_document.idx", megatronIndex(7, [2, 4]));
    await expect(gather()).rejects.toThrow(/no token numbers/);
  });

  it("of big-endian numbers are known by their high bytes, also to a model with many tokens", async () => {
    const ids = Uint16Array.from({ length: 20_000 }, (_, i) => (i * i * 31 + i * 7) % 3000);
    put("a.u16", Buffer.from(ids.buffer.slice(0)).swap16());
    expect(as(await gather({ vocabulary: 128_256 }))["a.u16"]).toMatch(/big-endian/);
    expect(numbers(4)).toEqual([...ids]);
    put("a.u16", ids);
    expect(as(await gather({ vocabulary: 128_256 }))["a.u16"]).toBe("token numbers of 16 bits");
  });

  it("of different widths go together, and text beside them is left out with a reason", async () => {
    put("a.u16", Uint16Array.from([1, 2]));
    put("b.u32", Uint32Array.from([3, 4]));
    put("notes.txt", "how the tokens were made");
    const data = await gather();
    expect(numbers()).toEqual([1, 2, 3, 4]);
    expect(left(data)["notes.txt"]).toMatch(/text, and the token files are taken/);
  });

  it.each<[string, NodeJS.ArrayBufferView, RegExp]>([
    ["a.npy", npy("<f4", Float32Array.of(1, 2)), /a NumPy array of <f4, and tokens are whole numbers/],
    ["a.npy", npy("<u2", Uint16Array.of(1, 2)).subarray(0, 130), /was cut off/],
    ["a.npy", Buffer.from("text"), /no NumPy array/],
    [
      "a.bin",
      llmC(20240520, 1, Uint16Array.from(IDS)).subarray(0, 1028),
      /speaks of 6 tokens, and 2 are there/,
    ],
    ["a.u32", Buffer.from("abcdef"), /no whole count of 32-bit numbers/],
    ["a.npz", Buffer.from("PK\x03\x04"), /weights or other arrays/],
  ])("that cannot be right are not taken: %s", async (name, bytes, why) => {
    put(name, bytes);
    await expect(gather()).rejects.toMatchObject({
      code: "data-not-text",
      message: expect.stringMatching(why),
    });
  });
});

describe("the sets", () => {
  it("are told apart by their usual names: the validation set comes last, a test set not at all", async () => {
    put("valid.txt", "valid");
    put("test.txt", "test");
    put("train.txt", "train");
    put("more.txt", "more");
    const data = await gather();
    expect(text()).toBe("more\n\ntrain\n\nvalid\n\n");
    expect(data).toMatchObject({ tokens: 20, heldOutTokens: 7, corpus: { trainingTokens: 13 } });
    expect(left(data)).toEqual({ "test.txt": "a test set, so nothing is trained or measured on it" });
  });

  it("of nanoGPT", async () => {
    put("train.bin", Uint16Array.of(1, 2, 3));
    put("val.bin", Uint16Array.of(9));
    expect(await gather()).toMatchObject({ heldOutTokens: 1, corpus: { trainingTokens: 3 } });
    expect(numbers()).toEqual([1, 2, 3, 9]);
  });

  it("of the hub", async () => {
    fixture("text-zstd.parquet", "train-00000-of-00001.parquet");
    fixture("text-gzip.parquet", "validation-00000-of-00001.parquet");
    fixture("text-none.parquet", "test-00000-of-00001.parquet");
    put("README.md", "# About this data set");
    put(".gitattributes", "*.parquet lfs");
    const data = await gather();
    expect(data.heldOutTokens).toBe(data.tokens / 2);
    expect(left(data)).toMatchObject({
      "README.md": "about the data, not part of it",
      "test-00000-of-00001.parquet": "a test set, so nothing is trained or measured on it",
      "1 hidden file": "names that begin with a dot",
    });
  });
});

describe("what is no data", () => {
  it("is listed with its reason, and not learned", async () => {
    put("a.txt", "text");
    put("empty.txt", "");
    put("README.md", "about");
    put("LICENSE", "MIT");
    put("config.json", "{}");
    put("sub/tokenizer.json", "{}");
    put("vocab.json", "{}");
    put("merges.txt", "#version: 0.2\na b");
    put("vocab.txt", "[PAD]\n[UNK]");
    put("spiece.model", Buffer.from([10, 11, 0, 0]));
    put("page.html", "<p>markup</p>");
    put("page", "<!DOCTYPE html><p>markup</p>");
    put("picture.svg", "<svg/>");
    put("paper.txt", "%PDF-1.4\n1 0 obj");
    put("run.log", "10:00 started");
    put("settings.yaml", "a: 1");
    put("one.json", '{"a": 1, "b": 2}');
    put("pytorch_model.bin", Buffer.from("PK\x03\x04weights"));
    put("optimizer.bin", Uint16Array.of(1, 2, 3));
    put("old.bin", Buffer.from("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "latin1"));
    put("x.safetensors", Buffer.alloc(16));
    put("folder.tar.gz", gzipSync("tar"));
    put("noise", Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919 + (i >> 3)) % 256)));
    put(
      "russian.txt",
      Buffer.from(Array.from({ length: 400 }, (_, i) => (i % 7 === 0 ? 32 : 0xe0 + (i % 32)))),
    );
    const data = await gather();
    expect(text()).toBe("text\n\n");
    expect(left(data)).toEqual({
      "empty.txt": "empty",
      "README.md": "about the data, not part of it",
      LICENSE: "about the data, not part of it",
      "config.json": "settings",
      "sub/tokenizer.json": "a tokenizer's vocabulary",
      "vocab.json": "a tokenizer's vocabulary",
      "merges.txt": "a tokenizer's vocabulary",
      "vocab.txt": "a tokenizer's vocabulary",
      "spiece.model": "a tokenizer's vocabulary",
      "page.html": "markup",
      page: "markup",
      "picture.svg": "markup",
      "paper.txt": "PDF; store it as text first",
      "run.log": "a log",
      "settings.yaml": "settings",
      "one.json": 'no column "text"; name one of a, b with --column',
      "pytorch_model.bin": "weights of a model",
      "optimizer.bin": "weights of a model",
      "old.bin": "weights of a model (a pickle)",
      "x.safetensors": "weights or other arrays",
      "folder.tar.gz": "a packed folder (tar); unpack it first",
      noise: "binary, of a kind that is not known here",
      "russian.txt": expect.stringMatching(/encoding that is not known/) as string,
    });
  });

  it("is taken when it is asked for", async () => {
    put("README.md", "about");
    put("page.html", "<p>markup</p>");
    put("b.txt", "text");
    await gather({ include: ["*.html"], exclude: ["b*"] });
    expect(text()).toBe("<p>markup</p>\n\n");
  });
});

describe.runIf(process.platform !== "win32")("links", () => {
  it("are read once where they stay inside; others and dead ones are left out", async () => {
    put("real/a.txt", "text");
    put("outside.txt", "secret", root);
    symlinkSync("real/a.txt", join(folder, "again.txt"));
    symlinkSync("..", join(folder, "real", "up"));
    symlinkSync("self", join(folder, "self"));
    symlinkSync("gone", join(folder, "dead"));
    symlinkSync(join(root, "outside.txt"), join(folder, "out.txt"));
    const data = await gather();
    expect(text()).toBe("text\n\n");
    expect(left(data)).toMatchObject({
      self: "a link that leads nowhere",
      dead: "a link that leads nowhere",
      "out.txt": expect.stringMatching(/^a link to .*outside of the folder/) as string,
    });
  });

  it("of the hub's cache lead into the blobs beside it", async () => {
    const hub = join(root, "hub", "datasets--who--what");
    put("blobs/abc", "from the hub", hub);
    put("snapshots/123/x", "", hub);
    const snapshot = join(hub, "snapshots", "123");
    symlinkSync("../../blobs/abc", join(snapshot, "train.txt"));
    symlinkSync("../../../../outside", join(snapshot, "other.txt"));
    put("outside", "secret", root);
    await gather({}, snapshot);
    expect(text()).toBe("from the hub\n\n");
  });
});

describe("with a tokenizer", () => {
  it("text becomes its tokens, documents are set apart by the end-of-text token", async () => {
    const tokenizer = await findTokenizer([modelWith("gpt-2")]);
    put("a.txt", "the quick");
    put("b.txt", "fox<|end|>");
    put("tokenizer.json", "{}");
    const data = await gather({ tokenizer, vocabulary: 420 });
    const [[first = [], second = []] = []] = [
      await tokenizer?.encode(["the quick", "fox<|end|>"].map((each) => ({ text: each, continues: false }))),
    ];
    expect(numbers()).toEqual([...first, 0, ...second]);
    expect(data.notes).toEqual(["Documents are set apart by the end-of-text token <|end|> (0)."]);
    expect(data.kind).toBe(`tokens of ${tokenizer?.name}`);
    expect(await gather({ tokenizer, vocabulary: 100_000 })).toMatchObject({ corpus: { tokenBytes: 4 } });
  });

  it("that knows more tokens than the model it is refused before anything is encoded", async () => {
    const tokenizer = await findTokenizer([modelWith("gpt-2")]);
    put("a.txt", "aaaa");
    await expect(gather({ tokenizer, vocabulary: 419, model: "small.onnx" })).rejects.toMatchObject({
      code: "tokenizer-too-large",
      message: expect.stringMatching(
        /tokenizer\.json has tokens up to 419, and small\.onnx knows only those from 0 to 418/,
      ),
    });
  });

  it("without an end-of-text token, documents are set apart by an empty line, and it is said", async () => {
    const tokenizer = await findTokenizer([modelWith("own-word-level")]);
    put("a.txt", "the dog");
    expect((await gather({ tokenizer })).notes).toEqual([expect.stringMatching(/no end-of-text token/)]);
  });

  function modelWith(kind: string): string {
    const model = join(root, "model");
    mkdirSync(model, { recursive: true });
    copyFileSync(join(fixtures, "tokenizers", `${kind}.json`), join(model, "tokenizer.json"));
    return model;
  }
});

describe("data that cannot be used", () => {
  it.each<[string, string, Partial<DataOptions>, () => void]>([
    ["nothing", "data-empty", {}, () => undefined],
    ["only hidden files", "data-empty", {}, () => put(".a.txt", "text")],
    ["only empty files", "data-not-text", {}, () => put("a.u16", "")],
    ["no text", "data-not-text", {}, () => put("a.png", Uint8Array.of(0, 1))],
    ["text for few tokens", "data-needs-tokens", { vocabulary: 255 }, () => put("a.txt", "text")],
    ["too much", "data-too-large", { largestBytes: 5 }, () => put("a.txt", "text")],
    ["foreign tokens", "data-beyond-vocabulary", {}, () => put("a.u32", new Uint32Array([1, 300]))],
    ["records without text", "data-empty", { column: "a" }, () => put("a.jsonl", '{"a": 1}\n{"a": null}')],
  ])("%s: %s", async (_, code, options, prepare) => {
    prepare();
    await expect(gather(options)).rejects.toMatchObject({ code });
  });

  it("is refused when it is not there, and reading it ends when it is asked to", async () => {
    await expect(gather({}, join(folder, "gone"))).rejects.toThrow(/There is no .*gone\. Check the name/);
    put("a.txt", "text");
    await expect(gather({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "interrupted" });
  });

  it("says how far it is", async () => {
    put("a.txt", "x".repeat(1_000_000));
    put("b.jsonl", '{"text":"y"}');
    const said: number[] = [];
    await gather({ onProgress: ({ bytes, totalBytes }) => said.push(bytes / totalBytes) });
    expect(said.length).toBeGreaterThan(3);
    expect(said.at(-1)).toBe(1);
  });
});

async function collected<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function npy(type: string, values: NodeJS.ArrayBufferView): Buffer {
  const width = Number(type.slice(2));
  const dict = `{'descr': '${type}', 'fortran_order': False, 'shape': (${values.byteLength / width},), }`;
  const header = `${dict.padEnd(117)}\n`;
  const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${header}`, "latin1");
  head.writeUInt16LE(header.length, 8);
  return Buffer.concat([head, Buffer.from(values.buffer, values.byteOffset, values.byteLength)]);
}

function llmC(magic: number, version: number, values: Uint16Array | Uint32Array): Buffer {
  const head = Buffer.alloc(1024);
  head.writeInt32LE(magic, 0);
  head.writeInt32LE(version, 4);
  head.writeInt32LE(values.length, 8);
  return Buffer.concat([head, Buffer.from(values.buffer)]);
}

function megatronIndex(type: number, sizes: readonly number[]): Buffer {
  const head = Buffer.alloc(34);
  head.write("MMIDIDX\0\0", "latin1");
  head.writeBigUInt64LE(1n, 9);
  head.writeUInt8(type, 17);
  head.writeBigUInt64LE(BigInt(sizes.length), 18);
  head.writeBigUInt64LE(BigInt(sizes.length + 1), 26);
  return Buffer.concat([
    head,
    Buffer.from(Int32Array.from(sizes).buffer),
    Buffer.alloc(8 * (2 * sizes.length + 1)),
  ]);
}
