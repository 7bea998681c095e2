import { basename, resolve } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { chunksOf, dataFiles } from "./data-files.ts";
import type { DataFile } from "./data-files.ts";
import { DataSink } from "./data-sink.ts";
import { TOKENIZER_FILES } from "./tokenizer.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** A run's tokens in one file, named by its digest in the run. */
export interface TrainingData {
  readonly corpus: RunSpec["corpus"];
  readonly tokens: number;
  /** What the tokens are, for a person. */
  readonly kind: string;
  readonly files: number;
  /** Files that were left out because they are not of that kind. */
  readonly skipped: number;
}

export interface DataOptions {
  /** Token numbers below this are the model's. */
  readonly vocabulary: number;
  /** Where the tokens are written to. */
  readonly into: string;
  /** For text; null: each byte of it is a token. */
  readonly tokenizer: TextTokenizer | null;
  readonly largestBytes?: number;
}

/** Nodes hold the data in memory. */
export const LARGEST_DATA_BYTES = 1024 ** 3;

/** Files of token numbers, little-endian and unsigned, by their ending. `.bin` is as nanoGPT writes it. */
export const TOKEN_FILES: Readonly<Record<string, 2 | 4>> = { ".u16": 2, ".bin": 2, ".u32": 4 };

const DOCUMENT_BREAK = "\n\n";

/**
 * All data of a folder in one file: token files where there are any, else all that is text (UTF-8), in
 * the order of the names.
 *
 * @throws Failure that begins with `data-`, and what is wrong with it
 */
export function gatherData(folder: string, options: DataOptions): TrainingData {
  const files = dataFiles(folder);
  const widthOf = ({ name }: DataFile): 2 | 4 | undefined =>
    TOKEN_FILES[/\.[^./]+$/.exec(name)?.[0].toLowerCase() ?? ""];
  const tokenFiles = files.filter((file) => widthOf(file) !== undefined);
  const widths = [...new Set(tokenFiles.map(widthOf))];
  if (widths.length > 1)
    throw new Failure(
      "data-mixed",
      `The folder ${resolve(folder)} has token files of 16 and of 32 bits (${tokenFiles.map(({ name }) => name).join(", ")}). Keep one kind there.`.slice(
        0,
        2000,
      ),
    );
  const name = (basename(resolve(folder)) || "data").slice(0, 200);
  const sink = new DataSink(options.into, options.largestBytes ?? LARGEST_DATA_BYTES);
  try {
    const [width] = widths;
    const taken =
      width !== undefined
        ? takeNumbers(tokenFiles, width, options.vocabulary, sink)
        : takeText(folder, files, options, sink);
    const { tokenBytes, documents, kind } = taken;
    const corpus = { name, sha256: sink.finish(), bytes: sink.bytes, tokenBytes };
    if (sink.bytes === 0)
      throw new Failure(
        "data-empty",
        `The token files in ${resolve(folder)} are empty. Choose another folder with --data.`,
      );
    return {
      corpus,
      tokens: sink.bytes / tokenBytes,
      kind,
      files: documents,
      skipped: files.length - documents,
    };
  } finally {
    sink.close();
  }
}

interface Taken {
  readonly tokenBytes: 1 | 2 | 4;
  readonly documents: number;
  readonly kind: string;
}

function takeNumbers(files: readonly DataFile[], width: 2 | 4, vocabulary: number, sink: DataSink): Taken {
  for (const file of files) {
    if (file.bytes % width !== 0)
      throw new Failure(
        "data-bad-length",
        `${file.name} has ${file.bytes} bytes, which is no whole count of ${width * 8}-bit numbers. Its ending says how it is read: .u16 and .bin 16 bits, .u32 32 bits, little-endian.`,
      );
    let at = 0;
    for (const chunk of chunksOf(file)) {
      for (let i = 0; i < chunk.length; i += width, at += 1) {
        const token = width === 2 ? chunk.readUInt16LE(i) : chunk.readUInt32LE(i);
        if (token >= vocabulary) throw beyond(token, vocabulary, `Number ${at + 1} of ${file.name}`);
      }
      sink.write(chunk);
    }
  }
  return { tokenBytes: width, documents: files.length, kind: `token numbers of ${width * 8} bits` };
}

function beyond(token: number, vocabulary: number, where: string): Failure {
  return new Failure(
    "data-beyond-vocabulary",
    `${where} is token ${token}, and the model knows only the tokens 0 to ${vocabulary - 1}. The data was made for another model, or with numbers of another width.`,
  );
}

function takeText(
  folder: string,
  files: readonly DataFile[],
  { vocabulary, tokenizer }: DataOptions,
  sink: DataSink,
): Taken {
  if (tokenizer === null && vocabulary < 256)
    throw new Failure(
      "data-needs-tokens",
      `The model knows ${vocabulary} tokens, fewer than a byte has values, so text cannot be taken as bytes. ` +
        "Put a tokenizer.json beside the model, or token files (.u16 or .u32) into the data folder.",
    );
  const tokenBytes = tokenizer === null ? 1 : vocabulary <= 65_536 ? 2 : 4;
  const encode = (text: string): Buffer =>
    tokenizer === null ? Buffer.from(text) : numbersOf(tokenizer.encode(text), tokenBytes, vocabulary);
  const break_ = encode(DOCUMENT_BREAK);
  let documents = 0;
  for (const file of files) {
    // The folder's own tokenizer is no text to learn.
    if (TOKENIZER_FILES.includes(file.name)) continue;
    if (!appendText(file, encode, sink)) continue;
    sink.write(break_);
    documents += 1;
  }
  if (documents === 0)
    throw new Failure(
      "data-not-text",
      `None of the files in ${resolve(folder)} is text (UTF-8) or token numbers (.u16, .u32, .bin). Choose another folder with --data.`,
    );
  return {
    tokenBytes,
    documents,
    kind: tokenizer === null ? "bytes of text" : `tokens of ${tokenizer.name}`,
  };
}

/** Beyond this a line is divided anywhere: strings have a length limit. */
const LONGEST_LINE = 16 * 1024 * 1024;

/** False, and nothing is written, when the file is empty or no text. */
function appendText(file: DataFile, encode: (text: string) => Buffer, sink: DataSink): boolean {
  const before = sink.mark();
  const decode = utf8Decoder();
  let rest = "";
  for (const chunk of chunksOf(file)) {
    const text = decode(chunk, false);
    if (text === null) {
      sink.backTo(before);
      return false;
    }
    rest += text;
    // At the end of a line, where a tokenizer would divide too.
    const end = rest.length > LONGEST_LINE ? rest.length : rest.lastIndexOf("\n") + 1;
    if (end > 0) sink.write(encode(rest.slice(0, end)));
    rest = rest.slice(end);
  }
  const last = decode(Buffer.alloc(0), true);
  if (last === null) sink.backTo(before);
  else if (rest + last !== "") sink.write(encode(rest + last));
  return sink.bytes > before;
}

/** Gives null for what is no text. */
function utf8Decoder(): (chunk: Buffer, last: boolean) => string | null {
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  return (chunk, last) => {
    if (chunk.includes(0)) return null;
    try {
      return utf8.decode(chunk, { stream: !last });
    } catch {
      return null;
    }
  };
}

function numbersOf(ids: readonly number[], width: 1 | 2 | 4, vocabulary: number): Buffer {
  const bytes = Buffer.alloc(ids.length * width);
  for (const [i, id] of ids.entries()) {
    if (id >= vocabulary) throw beyond(id, vocabulary, "A piece of the text");
    bytes.writeUIntLE(id, i * width, width);
  }
  return bytes;
}
