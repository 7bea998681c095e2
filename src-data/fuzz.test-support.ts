import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Failure } from "../src-protocol/failure.ts";
import { gatherData } from "./gather-data.ts";
import { findTokenizer } from "./tokenizer.ts";

const VOCABULARY = 300;

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

/** Whatever is read: files by their names, and two things beside them. */
export const FUZZED: readonly string[] = [...Object.keys(KINDS), "Megatron's index", "tokenizer.json"];

/** Files of one kind, damaged in a new way at each try, and what reading them comes to. */
export class DataFuzz {
  readonly #name: string;
  readonly #random: () => number;
  readonly #folder: string;

  /** `random`: uniform in [0, 1). */
  constructor(name: string, random: () => number) {
    this.#name = name;
    this.#random = random;
    this.#folder = mkdtempSync(join(tmpdir(), "tah fuzz "));
    mkdirSync(join(this.#folder, "data"));
  }

  /** `read`: to the right tokens; `refused`: a clear sentence. Whatever else is thrown, with the try's number. */
  async once(): Promise<"read" | "refused"> {
    try {
      await this.#read();
      return "read";
    } catch (error) {
      const isClear =
        error instanceof Failure && /^(data-|bad-tokenizer)/.test(error.code) && error.message.length > 30;
      if (isClear) return "refused";
      throw error;
    }
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #read(): Promise<void> {
    const put = (name: string, bytes: Uint8Array): void =>
      writeFileSync(join(this.#folder, "data", name), bytes);
    const data = join(this.#folder, "data");
    if (this.#name === "tokenizer.json") {
      put("tokenizer.json", damaged(fixture("tokenizers/gpt-2.json"), this.#random));
      await (await findTokenizer([data]))?.encode([{ text: "the fox", continues: false }]);
      return;
    }
    if (this.#name === "Megatron's index") {
      put("a.bin", new Uint8Array(Int32Array.from(IDS).buffer));
      put("a.idx", damaged(megatronIndex(), this.#random));
      await mustBeTokens(data, join(this.#folder, "into"));
      return;
    }
    put(this.#name, damaged(KINDS[this.#name] ?? Buffer.alloc(0), this.#random));
    await mustBeTokens(join(data, this.#name), join(this.#folder, "into"));
  }
}

/** As many as are told of, and all known to the model. */
async function mustBeTokens(path: string, into: string): Promise<void> {
  const { tokens, corpus } = await gatherData(path, { vocabulary: VOCABULARY, into, tokenizer: null });
  const bytes = readFileSync(into);
  const width = corpus.tokenBytes;
  if (bytes.length !== tokens * width) throw new Error(`${bytes.length} bytes for ${tokens} tokens`);
  for (let i = 0; i < tokens; i++)
    if (bytes.readUIntLE(i * width, width) >= VOCABULARY) throw new Error(`token ${i} is not the model's`);
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
