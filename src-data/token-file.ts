import { open } from "node:fs/promises";
import { Failure } from "../src-protocol/failure.ts";
import { headOf } from "./byte-stream.ts";
import { unreadable } from "./found-files.ts";

/** Where a file's token numbers lie, and of what kind they are. */
export interface TokenLayout {
  /** For a person: what wrote it. */
  readonly format: string;
  readonly width: 1 | 2 | 4 | 8;
  readonly isSigned: boolean;
  readonly isBigEndian: boolean;
  readonly offset: number;
  readonly count: number;
}

/** Something that says how a file is read, or why it is not. */
export type Layout = TokenLayout | { readonly refused: string };

const HEADER_BYTES = 1024;
/** So many numbers show how wide they are. */
const SAMPLE_BYTES = 64 * 1024;

/** llm.c's headers: 256 numbers of 32 bits, of which the first names the kind and the third the count. */
const LLM_C: Readonly<Record<number, { version: number; width: 2 | 4; name: string }>> = {
  20240520: { version: 1, width: 2, name: "GPT-2" },
  20240801: { version: 7, width: 4, name: "Llama-3" },
};

const MEGATRON_MAGIC = "MMIDIDX\0\0";
const MEGATRON_TYPES: Readonly<Record<number, { width: 1 | 2 | 4 | 8; isSigned: boolean } | null>> = {
  1: { width: 1, isSigned: false },
  2: { width: 1, isSigned: true },
  3: { width: 2, isSigned: true },
  4: { width: 4, isSigned: true },
  5: { width: 8, isSigned: true },
  6: null,
  7: null,
  8: { width: 2, isSigned: false },
};

/** `.u16`, `.u32`, `.bin`: numbers, with or without a header. `index` is Megatron's `.idx` beside a `.bin`. */
export async function tokenLayout(
  path: string,
  bytes: number,
  ending: string,
  options: { vocabulary: number; index: string | null },
): Promise<Layout> {
  const head = await headOf(path, Math.min(bytes, SAMPLE_BYTES));
  const known = llmC(head, bytes);
  if (known !== null) return known;
  if (options.index !== null) return await megatron(options.index, bytes);
  if (ending === ".u32") return plain("token numbers of 32 bits", 4, bytes);
  if (ending === ".u16")
    return withOrder(plain("token numbers of 16 bits", 2, bytes), head, options.vocabulary);
  // Numbers of 16 bits read as such of 32 are beyond every vocabulary, unless every second one is small.
  const isWide = bytes % 4 === 0 && head.length >= 4 && allBelow(head, 4, options.vocabulary, false);
  return isWide
    ? plain("token numbers of 32 bits, by their values", 4, bytes)
    : withOrder(plain("token numbers of 16 bits", 2, bytes), head, options.vocabulary);
}

function plain(format: string, width: 2 | 4, bytes: number): Layout {
  if (bytes % width !== 0)
    return {
      refused: `${bytes} bytes, which is no whole count of ${width * 8}-bit numbers (.u16 and .bin are read as 16 bits, .u32 as 32, little-endian)`,
    };
  return { format, width, isSigned: false, isBigEndian: false, offset: 0, count: bytes / width };
}

/** Numbers that only make sense the other way round were written so. */
function withOrder(layout: Layout, head: Buffer, vocabulary: number): Layout {
  if ("refused" in layout || !isBigEndian(head, vocabulary)) return layout;
  return { ...layout, isBigEndian: true, format: `${layout.format}, big-endian by their values` };
}

/** Tokens are mostly small: the byte that varies less is the high one. */
function isBigEndian(head: Buffer, vocabulary: number): boolean {
  const sample = head.subarray(0, head.length & ~1);
  const isLittle = allBelow(sample, 2, vocabulary, false);
  const isBig = allBelow(sample, 2, vocabulary, true);
  if (isLittle !== isBig) return isBig;
  return isBig && sample.length >= 8192 && entropy(sample, 1) - entropy(sample, 0) > 1;
}

function allBelow(bytes: Buffer, width: 2 | 4, vocabulary: number, isBig: boolean): boolean {
  for (let i = 0; i + width <= bytes.length; i += width) {
    const value = isBig ? bytes.readUIntBE(i, width) : bytes.readUIntLE(i, width);
    if (value >= vocabulary) return false;
  }
  return true;
}

/** In bits, of every second byte. */
function entropy(bytes: Buffer, from: 0 | 1): number {
  const counts = new Uint32Array(256);
  for (let i = from; i < bytes.length; i += 2) {
    const byte = bytes[i] ?? 0;
    counts[byte] = (counts[byte] ?? 0) + 1;
  }
  const total = bytes.length / 2;
  return counts.reduce(
    (sum, count) => (count === 0 ? sum : sum - (count / total) * Math.log2(count / total)),
    0,
  );
}

function llmC(head: Buffer, bytes: number): Layout | null {
  if (head.length < HEADER_BYTES) return null;
  const kind = LLM_C[head.readInt32LE(0)];
  if (kind === undefined || head.readInt32LE(4) !== kind.version) return null;
  const count = head.readUInt32LE(8);
  const there = Math.floor((bytes - HEADER_BYTES) / kind.width);
  if (count > there)
    return {
      refused: `llm.c's header speaks of ${count} tokens, and ${there} are there: the file was cut off, copy it again`,
    };
  return {
    format: `tokens of llm.c (${kind.name}, ${kind.width * 8} bits)`,
    width: kind.width,
    isSigned: false,
    isBigEndian: false,
    offset: HEADER_BYTES,
    count,
  };
}

async function megatron(index: string, bytes: number): Promise<Layout> {
  const head = await headOf(index, 34);
  const magic = head.subarray(0, 9).toString("latin1");
  if (magic !== MEGATRON_MAGIC || head.length < 34)
    return {
      refused: "its .idx is not Megatron's (of version 1); encode the text again, or take the .idx away",
    };
  if (head.readBigUInt64LE(9) !== 1n)
    return { refused: `Megatron's index of version ${head.readBigUInt64LE(9)} is not known` };
  const code = head.readUInt8(17);
  const type = MEGATRON_TYPES[code];
  if (!type) return { refused: `Megatron's numbers of kind ${code} are no token numbers` };
  const sequences = Number(head.readBigUInt64LE(18));
  const total = await sumOfSizes(index, sequences);
  const there = Math.floor(bytes / type.width);
  if (total === null || total > there)
    return {
      refused: `its .idx speaks of ${total ?? "more"} tokens, and ${there} are there: one of both was cut off`,
    };
  return {
    format: `tokens of Megatron (${type.width * 8} bits, ${sequences} sequences)`,
    ...type,
    isBigEndian: false,
    offset: 0,
    count: total,
  };
}

/** null: the index is shorter than it says. */
async function sumOfSizes(index: string, sequences: number): Promise<number | null> {
  const handle = await open(index, "r");
  try {
    if ((await handle.stat()).size < 34 + 4 * sequences) return null;
    let total = 0;
    const buffer = Buffer.alloc(SAMPLE_BYTES);
    for (let done = 0; done < sequences;) {
      const count = Math.min(sequences - done, SAMPLE_BYTES / 4);
      const { bytesRead } = await handle.read(buffer, 0, count * 4, 34 + done * 4);
      if (bytesRead < count * 4) return null;
      for (let i = 0; i < count; i++) total += buffer.readInt32LE(i * 4);
      done += count;
    }
    return total;
  } finally {
    await handle.close();
  }
}

const NPY_MAGIC = "\x93NUMPY";

/** NumPy's own format: one array after one line of text that says what it is. */
export async function npyLayout(path: string, bytes: number): Promise<Layout> {
  const head = await headOf(path, 4096);
  if (head.length < 12 || head.subarray(0, 6).toString("latin1") !== NPY_MAGIC)
    return { refused: "no NumPy array, though it is called .npy" };
  const isLong = (head[6] ?? 1) >= 2;
  const start = isLong ? 12 : 10;
  const length = isLong ? head.readUInt32LE(8) : head.readUInt16LE(8);
  if (start + length > head.length) return { refused: "a NumPy array with a header that is cut off" };
  const header = head.subarray(start, start + length).toString("latin1");
  const [, order = "", sort = "", digits = ""] = /'descr':\s*'([<>|=]?)([a-zA-Z])(\d+)'/.exec(header) ?? [];
  const width = Number(digits);
  if ((sort !== "u" && sort !== "i") || (width !== 1 && width !== 2 && width !== 4 && width !== 8))
    return {
      refused: `a NumPy array of ${/'descr':\s*'?([^',]*)/.exec(header)?.[1] ?? "an unknown type"}, and tokens are whole numbers: save it with .astype("uint16") or "uint32"`,
    };
  if (/'fortran_order':\s*True/.test(header))
    return { refused: "a NumPy array in column order: save it with numpy.ascontiguousarray" };
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1]?.match(/\d+/g) ?? [];
  const count = shape.reduce((product, size) => product * Number(size), 1);
  if (shape.length === 0 || count > (bytes - start - length) / width)
    return { refused: `a NumPy array of ${count} numbers that was cut off, copy it again` };
  return {
    format: `NumPy array of ${width * 8}-bit token numbers`,
    width,
    isSigned: sort === "i",
    isBigEndian: order === ">",
    offset: start + length,
    count,
  };
}

const CHUNK_NUMBERS = 128 * 1024;

/**
 * A file's tokens, as little-endian numbers of `width` bytes, in pieces.
 *
 * @throws Failure `data-beyond-vocabulary`, `data-changed`
 */
export async function* tokensOf(
  file: { name: string; path: string },
  layout: TokenLayout,
  options: { vocabulary: number; width: 2 | 4; onBytes?: (count: number) => void },
): AsyncGenerator<Buffer> {
  const handle = await open(file.path, "r").catch((error: unknown) => {
    throw unreadable(file.path, error);
  });
  try {
    const chunk = Buffer.alloc(CHUNK_NUMBERS * layout.width);
    for (let done = 0; done < layout.count;) {
      const count = Math.min(CHUNK_NUMBERS, layout.count - done);
      const length = count * layout.width;
      const { bytesRead } = await handle.read(chunk, 0, length, layout.offset + done * layout.width);
      if (bytesRead < length)
        throw new Failure("data-changed", `${file.path} became shorter while it was read. Try again.`);
      yield converted(chunk, count, done, file.name, layout, options);
      options.onBytes?.(length);
      done += count;
    }
  } finally {
    await handle.close();
  }
}

function converted(
  chunk: Buffer,
  count: number,
  before: number,
  name: string,
  layout: TokenLayout,
  { vocabulary, width }: { vocabulary: number; width: 2 | 4 },
): Buffer {
  const out = Buffer.allocUnsafe(count * width);
  const read = readerOf(chunk, layout);
  for (let i = 0; i < count; i++) {
    const token = read(i * layout.width);
    if (!(token >= 0 && token < vocabulary))
      throw beyond(token, vocabulary, `Number ${before + i + 1} of ${name} (read as ${layout.format})`);
    if (width === 2) out.writeUInt16LE(token, i * 2);
    else out.writeUInt32LE(token, i * 4);
  }
  return out;
}

function readerOf(bytes: Buffer, { width, isSigned, isBigEndian }: TokenLayout): (at: number) => number {
  if (width === 8)
    return isBigEndian
      ? (at) => Number(isSigned ? bytes.readBigInt64BE(at) : bytes.readBigUInt64BE(at))
      : (at) => Number(isSigned ? bytes.readBigInt64LE(at) : bytes.readBigUInt64LE(at));
  if (isSigned) return isBigEndian ? (at) => bytes.readIntBE(at, width) : (at) => bytes.readIntLE(at, width);
  if (isBigEndian) return (at) => bytes.readUIntBE(at, width);
  if (width === 2) return (at) => bytes.readUInt16LE(at);
  return width === 4 ? (at) => bytes.readUInt32LE(at) : (at) => bytes.readUInt8(at);
}

export function beyond(token: number, vocabulary: number, where: string): Failure {
  return new Failure(
    "data-beyond-vocabulary",
    `${where} is token ${token}, and the model knows only the tokens 0 to ${vocabulary - 1}. The data was made for another model, or with numbers of another width. Take that file away, or leave it out with --exclude.`,
  );
}
