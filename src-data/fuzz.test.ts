import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { randomStream } from "../src-engine/random.ts";
import { Failure } from "../src-protocol/failure.ts";
import { gatherData } from "./gather-data.ts";
import { findTokenizer } from "./tokenizer.ts";

/** Damaged files of every kind; `TAH_FUZZ=10000` tries as many of each. */
const COUNT = Number(process.env["TAH_FUZZ"] ?? 40);
const VOCABULARY = 300;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tah fuzz "));
  return () => rmSync(folder, { recursive: true, force: true });
});

const fixtures = join(import.meta.dirname, "fixtures");
const fixture = (name: string): Buffer => readFileSync(join(fixtures, name));
const TEXT = "Äpfel, 😀 and pears.\nA second line.\r\n\n".repeat(20);
const LINES = Array.from({ length: 20 }, (_, i) => JSON.stringify({ id: i, text: `Text ${i} "ä"` })).join(
  "\n",
);
const IDS = Array.from({ length: 200 }, (_, i) => (i * 37) % VOCABULARY);

const KINDS: Readonly<Record<string, Buffer>> = {
  "a.txt": Buffer.from(TEXT),
  "utf16.txt": Buffer.from(`\uFEFF${TEXT}`, "utf16le"),
  "a.txt.gz": gzipSync(TEXT),
  "a.txt.zst": zstdCompressSync(TEXT),
  "a.jsonl": Buffer.from(LINES),
  "a.jsonl.gz": gzipSync(LINES),
  "a.json": Buffer.from(`[${LINES.replaceAll("\n", ",\n")}]`),
  "a.csv": Buffer.from(`id,text\n${IDS.map((id) => `${id},"a ""b"" ${id}\nc"`).join("\n")}\n`),
  ...Object.fromEntries(
    readdirSync(fixtures)
      .filter((name) => name.endsWith(".parquet"))
      .map((name) => [name, fixture(name)]),
  ),
  "a.u16": Buffer.from(Uint16Array.from(IDS).buffer),
  "a.u32": Buffer.from(Uint32Array.from(IDS).buffer),
  "nano.bin": Buffer.from(Uint16Array.from(IDS).buffer),
  "llm.bin": llmC(),
  "a.npy": npy(),
};

describe("a damaged file gives a clear error or what is left of it", () => {
  it.each(Object.keys(KINDS))(
    "%s",
    async (name) => {
      const whole = KINDS[name] ?? Buffer.alloc(0);
      const random = randomStream("fuzz", name);
      for (let i = 0; i < COUNT; i++) {
        const file = join(folder, name);
        writeFileSync(file, damaged(whole, random));
        expect(await unclear(name, i, () => read(file))).toBeNull();
      }
    },
    900_000,
  );

  it("Megatron's index", async () => {
    const random = randomStream("fuzz", "megatron");
    const home = mkdtempSync(join(folder, "megatron"));
    writeFileSync(join(home, "a.bin"), Int32Array.from(IDS));
    for (let i = 0; i < COUNT; i++) {
      writeFileSync(join(home, "a.idx"), damaged(megatronIndex(), random));
      expect(await unclear("a.idx", i, () => read(home))).toBeNull();
    }
  }, 900_000);

  it("tokenizer.json", async () => {
    const random = randomStream("fuzz", "tokenizer");
    const home = mkdtempSync(join(folder, "tokenizer"));
    const whole = fixture("tokenizers/gpt-2.json");
    for (let i = 0; i < COUNT; i++) {
      writeFileSync(join(home, "tokenizer.json"), damaged(whole, random));
      const encode = async (): Promise<void> => {
        await (await findTokenizer([home]))?.encode([{ text: "the fox", continues: false }]);
      };
      expect(await unclear("tokenizer.json", i, encode)).toBeNull();
    }
  }, 900_000);
});

async function read(path: string): Promise<void> {
  const into = join(folder, "gathered");
  const { tokens, corpus } = await gatherData(path, { vocabulary: VOCABULARY, into, tokenizer: null });
  const bytes = readFileSync(into);
  expect(bytes.length).toBe(tokens * corpus.tokenBytes);
  const width = corpus.tokenBytes;
  const beyond = Array.from({ length: tokens }, (_, i) => bytes.readUIntLE(i * width, width)).find(
    (token) => token >= VOCABULARY,
  );
  expect(beyond).toBeUndefined();
}

/** What went wrong without a clear sentence; null: nothing. */
async function unclear(name: string, i: number, act: () => Promise<void>): Promise<string | null> {
  const error = await act().then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error === null) return null;
  const isClear =
    error instanceof Failure && /^(data-|bad-tokenizer)/.test(error.code) && error.message.length > 30;
  return isClear ? null : `${name}, try ${i}: ${String(error)}`;
}

/** Some bytes changed, a piece cut out, doubled, or the end cut off. */
function damaged(whole: Buffer, random: () => number): Buffer {
  const at = (): number => Math.floor(random() * whole.length);
  const kind = Math.floor(random() * 5);
  if (kind === 0) return whole.subarray(0, at());
  if (kind === 1) {
    const [from, to] = [at(), at()].sort((a, b) => a - b) as [number, number];
    return Buffer.concat([whole.subarray(0, from), whole.subarray(to)]);
  }
  if (kind === 2) {
    const [from, to] = [at(), at()].sort((a, b) => a - b) as [number, number];
    return Buffer.concat([whole.subarray(0, to), whole.subarray(from)]);
  }
  const bytes = Buffer.from(whole);
  const changes = kind === 3 ? 1 : 1 + Math.floor(random() * 20);
  for (let i = 0; i < changes; i++) bytes[at()] = random() < 0.3 ? 0xff : Math.floor(random() * 256);
  return bytes;
}

function llmC(): Buffer {
  const head = Buffer.alloc(1024);
  head.writeInt32LE(20240520, 0);
  head.writeInt32LE(1, 4);
  head.writeInt32LE(IDS.length, 8);
  return Buffer.concat([head, Buffer.from(Uint16Array.from(IDS).buffer)]);
}

function npy(): Buffer {
  const header = `${`{'descr': '<u2', 'fortran_order': False, 'shape': (${IDS.length},), }`.padEnd(117)}\n`;
  const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${header}`, "latin1");
  head.writeUInt16LE(header.length, 8);
  return Buffer.concat([head, Buffer.from(Uint16Array.from(IDS).buffer)]);
}

function megatronIndex(): Buffer {
  const head = Buffer.alloc(34);
  head.write("MMIDIDX\0\0", "latin1");
  head.writeBigUInt64LE(1n, 9);
  head.writeUInt8(4, 17);
  head.writeBigUInt64LE(2n, 18);
  head.writeBigUInt64LE(3n, 26);
  return Buffer.concat([head, Buffer.from(Int32Array.of(100, 100).buffer), Buffer.alloc(40)]);
}
