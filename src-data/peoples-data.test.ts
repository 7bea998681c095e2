import { spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { gatherData } from "./gather-data.ts";
import type { DataOptions, TrainingData } from "./gather-data.ts";
import { listedData } from "./listed-data.ts";
import { findTokenizer } from "./tokenizer.ts";

/** Folders as people have them, all of whose parts must come out right together. */
const fixtures = join(import.meta.dirname, "fixtures");
let root: string;
let folder: string;
let into: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tah people "));
  folder = join(root, "mine");
  into = join(root, "gathered");
  mkdirSync(folder);
  return () => rmSync(root, { recursive: true, force: true });
});

const put = (name: string, content: string | NodeJS.ArrayBufferView): void => {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), content);
};
const gather = (options: Partial<DataOptions> = {}): Promise<TrainingData> =>
  gatherData(folder, { vocabulary: 50_257, into, tokenizer: null, ...options });
const text = (): string => readFileSync(into, "utf8");
const numbers = (width: 2 | 4): number[] => {
  const { buffer } = new Uint8Array(readFileSync(into));
  return [...(width === 2 ? new Uint16Array(buffer) : new Uint32Array(buffer))];
};
const taken = (data: TrainingData): string[] => data.taken.map(({ name, as }) => `${name}: ${as}`);
const left = (data: TrainingData): string[] => data.leftOut.map(({ name, why }) => `${name}: ${why}`);

describe("text of many kinds in one folder", () => {
  it("in other encodings is read as what it is, each file's mark taken off", async () => {
    put("a.txt", "\uFEFFeins ä");
    put("b.txt", "\uFEFFzwei ö");
    put("c.txt", Buffer.from("\uFEFFdrei ü", "utf16le"));
    put("d.txt", Buffer.from("vier ß und noch etwas", "latin1"));
    const data = await gather({ vocabulary: 256 });
    expect(text()).toBe("eins ä\n\nzwei ö\n\ndrei ü\n\nvier ß und noch etwas\n\n");
    expect(taken(data)).toEqual([
      "a.txt: text",
      "b.txt: text",
      "c.txt: text, UTF-16",
      "d.txt: text, Latin-1 (windows-1252)",
    ]);
  });

  it("is listed with its shares; a bad byte in the larger file costs its place, not the file", async () => {
    const large = Buffer.from("A line with an ä.\n".repeat(52_632));
    large[899_999] = 0xe9;
    put("large.txt", large);
    put("small.txt", "x".repeat(20_000));
    expect(listedData(await gather({ vocabulary: 256 }))).toEqual([
      "mine: 1,020,014 bytes of text in 2 files; the last 5 % are held out",
      "large.txt: text, 98.0 %; 1 place is no text: a zero byte, or bytes that are no letters (read as U+FFFD)",
      "small.txt: text, 2.0 %",
    ]);
  });

  it("beside what other programs wrote is taken alone", async () => {
    put("a.txt", "text");
    put("scan.pdf", Buffer.from("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "latin1"));
    put("plain.pdf", "%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>");
    put("page.html", "<html><body>markup</body></html>");
    put("a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    put("build.log", "10:00 done");
    const data = await gather({ vocabulary: 256 });
    expect(text()).toBe("text\n\n");
    expect(data.leftOut).toHaveLength(5);
  });

  it("of the layout of every data set of the hub is its parquet, not its README", async () => {
    copyFileSync(join(fixtures, "text-snappy.parquet"), join(folder, "train-00000-of-00001.parquet"));
    put("README.md", "# Dataset card\n".repeat(100));
    put("dataset_infos.json", "{}");
    const data = await gather({ vocabulary: 256 });
    expect(taken(data)).toEqual(['train-00000-of-00001.parquet: parquet, column "text"']);
    expect(left(data)).toEqual(["README.md: about the data, not part of it", "dataset_infos.json: settings"]);
    expect(text()).not.toContain("Dataset card");
  });
});

describe("a model's folder as data", () => {
  it("its weights and vocabulary are not learned, whatever the model knows", async () => {
    put("a.txt", "the text");
    put(
      "pytorch_model.bin",
      Uint16Array.from({ length: 20_000 }, (_, i) => (i * 7919) % 65_536),
    );
    put("model-00001-of-00002.safetensors", Buffer.alloc(64));
    put(
      "optimizer.bin",
      Uint16Array.from({ length: 1_000 }, (_, i) => i),
    );
    put(
      "vocab.json",
      JSON.stringify(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`t${i}`, i]))),
    );
    put("merges.txt", "#version: 0.2\nt h\nth e\n");
    put("config.json", "{}");
    for (const vocabulary of [256, 50_257, 128_256]) {
      const data = await gather({ vocabulary });
      expect(text()).toBe("the text\n\n");
      expect(data.leftOut).toHaveLength(6);
      expect(data.notes.some((note) => /there is no tokenizer\.json .* byte by byte/.test(note))).toBe(
        vocabulary > 256,
      );
    }
  });

  it("a SentencePiece model alone is no tokenizer, and that is said", async () => {
    put("a.txt", "text");
    put("spiece.model", Buffer.from([10, 14, 10, 5, 60, 117, 110, 107, 62]));
    const data = await gather({ vocabulary: 32_100 });
    expect(left(data)).toEqual(["spiece.model: a tokenizer's vocabulary"]);
    expect(data.notes).toEqual([
      expect.stringMatching(/knows 32100 tokens, and there is no tokenizer\.json/),
    ]);
  });

  it("a token that was added beyond the model's is found before anything is encoded", async () => {
    const tokenizer = JSON.parse(readFileSync(join(fixtures, "tokenizers", "gpt-2.json"), "utf8")) as {
      added_tokens: Record<string, unknown>[];
    };
    const [first] = tokenizer.added_tokens;
    tokenizer.added_tokens.push({ ...first, id: 420, content: "<|added|>" });
    put("tokenizer.json", JSON.stringify(tokenizer));
    put("a.txt", "nothing of it is in the text");
    const own = await findTokenizer([folder]);
    await expect(gather({ tokenizer: own, model: "gpt2.onnx", vocabulary: 420 })).rejects.toMatchObject({
      code: "tokenizer-too-large",
      message: expect.stringMatching(/tokenizer\.json has tokens up to 420, and gpt2\.onnx knows only/),
    });
  });
});

describe("token files of people's own scripts", () => {
  const IDS = Array.from({ length: 600 }, (_, i) => (i * 83) % 50_257);

  it("of llm.c for GPT-2 are read behind their header, also by a model with a padded vocabulary", async () => {
    const head = Buffer.alloc(1024);
    head.writeInt32LE(20_240_520, 0);
    head.writeInt32LE(1, 4);
    head.writeInt32LE(IDS.length, 8);
    put("fineweb_train_000001.bin", Buffer.concat([head, Buffer.from(Uint16Array.from(IDS).buffer)]));
    for (const vocabulary of [50_257, 50_304]) {
      await gather({ vocabulary });
      expect(numbers(2)).toEqual(IDS);
    }
  });

  it("of Megatron with 16 bits are read by their index, the validation set by its name", async () => {
    for (const [name, ids] of [
      ["my_train_text_document", IDS],
      ["my_valid_text_document", IDS.slice(0, 10)],
    ] as const) {
      put(`${name}.bin`, Uint16Array.from(ids));
      const index = Buffer.alloc(34);
      index.write("MMIDIDX\0\0", "latin1");
      index.writeBigUInt64LE(1n, 9);
      index.writeUInt8(8, 17);
      index.writeBigUInt64LE(1n, 18);
      index.writeBigUInt64LE(2n, 26);
      put(
        `${name}.idx`,
        Buffer.concat([index, Buffer.from(Int32Array.of(ids.length).buffer), Buffer.alloc(24)]),
      );
    }
    const data = await gather({ vocabulary: 50_257 });
    expect(taken(data)[0]).toBe("my_train_text_document.bin: tokens of Megatron (16 bits, 1 sequences)");
    expect(numbers(2)).toEqual([...IDS, ...IDS.slice(0, 10)]);
    expect(data).toMatchObject({ heldOutTokens: 10, corpus: { trainingTokens: 600 } });
  });
});

it("memory does not grow with the data", () => {
  const piece = Buffer.from("Some words that make up a line of text.\n".repeat(26_000));
  const file = openSync(join(folder, "large.txt"), "w");
  for (let i = 0; i < 120; i++) writeSync(file, piece);
  closeSync(file);
  const script = `
    const { gatherData } = await import(${JSON.stringify(join(import.meta.dirname, "gather-data.ts"))});
    const { tokens } = await gatherData(process.argv[1], { vocabulary: 256, into: process.argv[2], tokenizer: null });
    process.stdout.write(JSON.stringify({ tokens, peakMegabytes: process.resourceUsage().maxRSS / 1000 }));`;
  // A heap that would not hold the data.
  const words = ["--max-old-space-size=64", "--input-type=module", "-e", script, folder, into];
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  expect(stderr).toBe("");
  const { tokens, peakMegabytes } = JSON.parse(stdout) as { tokens: number; peakMegabytes: number };
  expect(tokens).toBe(120 * piece.length + 2);
  expect(peakMegabytes).toBeLessThan(400);
}, 60_000);
