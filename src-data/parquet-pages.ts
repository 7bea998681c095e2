import type { AsyncBuffer, ColumnMetaData } from "hyparquet";

/** A header is some dozens of bytes, and more where it quotes the smallest and the largest value. */
const USUAL_HEADER_BYTES = 4 * 1024;
const LONGEST_HEADER_BYTES = 4 * 1024 * 1024;

/** Types of Thrift's compact protocol (thrift/doc/specs/thrift-compact-protocol.md). */
const [STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12,
] as const;

export interface PartOfFile {
  readonly part: ColumnMetaData;
  /** Most repetition and definition levels of its values; 0: it has none. */
  readonly levels: readonly [repetition: number, definition: number];
}

type Unpack = (packed: Uint8Array, bytes: number) => Uint8Array;

/**
 * SECURITY: what the pages of a part say of their own sizes, against what the file's end says of the part: the
 * library makes arrays of as many values as a page or a run in it says, before it looks at what follows. The
 * numbers at the file's end were looked at before. Field numbers are those of `PageHeader` in parquet.thrift.
 *
 * @throws Error that says what does not fit
 */
export async function checkPages(
  file: AsyncBuffer,
  { part, levels }: PartOfFile,
  unpack: Unpack,
): Promise<void> {
  const start = Number(part.dictionary_page_offset ?? part.data_page_offset);
  const end = start + Number(part.total_compressed_size);
  const mostValues = Number(part.num_values);
  const mostBytes = Number(part.total_uncompressed_size);
  for (let at = start; at < end;) {
    const { header, length } = await headerAt(file, at, end);
    const [unpacked, packed] = [header.get("2"), header.get("3")];
    if (unpacked === undefined || packed === undefined || packed < 0)
      throw new Error("a page without a size");
    if (unpacked < 0 || unpacked > mostBytes) throw new Error(`a page of ${unpacked} bytes`);
    for (const field of ["5.1", "7.1", "8.1"]) {
      const values = header.get(field) ?? 0;
      if (values < 0 || values > mostValues) throw new Error(`a page of ${values} values`);
    }
    at += length + packed;
    if (at > end) throw new Error("a page beyond its part");
    const read = async (): Promise<Uint8Array> => new Uint8Array(await file.slice(at - packed, at));
    if (header.has("5.1")) checkRuns(unpack(await read(), unpacked), header, levels);
    else if (header.has("8.1")) checkRuns2(await read(), unpacked, header, levels, unpack);
  }
}

/** Of `Encoding`: numbers of a dictionary, in runs. */
const IN_A_DICTIONARY: ReadonlySet<number | undefined> = new Set([2, 8]);

/** Runs of a page of the first form: of both levels, each after its length, and of the values. */
function checkRuns(page: Uint8Array, header: PageHeader["header"], levels: PartOfFile["levels"]): void {
  const values = header.get("5.1") ?? 0;
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  let at = 0;
  for (const most of levels) {
    if (most === 0) continue;
    if (at + 4 > page.length) throw new Error("a page that ends within its levels");
    const end = at + 4 + view.getUint32(at, true);
    mustFit(page, at + 4, bitsOf(most), values);
    at = end;
  }
  checkIndices(page, at, header.get("5.2"), values);
}

/** The same of the second form: the levels stand before what is packed, and their lengths in the header. */
function checkRuns2(
  page: Uint8Array,
  unpacked: number,
  header: PageHeader["header"],
  levels: PartOfFile["levels"],
  unpack: Unpack,
): void {
  const [values, repetition, definition] = ["8.1", "8.6", "8.5"].map((field) => header.get(field) ?? 0) as [
    number,
    number,
    number,
  ];
  const begin = repetition + definition;
  if (repetition < 0 || definition < 0 || begin > Math.min(page.length, unpacked))
    throw new Error("a page that ends within its levels");
  if (levels[0] > 0) mustFit(page, 0, bitsOf(levels[0]), values);
  if (levels[1] > 0) mustFit(page, repetition, bitsOf(levels[1]), values);
  if (!IN_A_DICTIONARY.has(header.get("8.4")) || unpacked === begin) return;
  // A flag that is not there means that it is packed; one that is there stands in no whole number.
  const rest = page.subarray(begin);
  const bytes = header.has("8.7=false") ? rest : unpack(rest, unpacked - begin);
  checkIndices(bytes, 0, header.get("8.4"), values);
}

function checkIndices(page: Uint8Array, at: number, encoding: number | undefined, values: number): void {
  const width = page[at];
  if (!IN_A_DICTIONARY.has(encoding) || width === undefined || width === 0) return;
  if (width > 32) throw new Error(`numbers of ${width} bits`);
  mustFit(page, at + 1, width, values);
}

function bitsOf(most: number): number {
  return 32 - Math.clz32(most);
}

/**
 * Runs of values from a place on, none longer than what is left of `values`; the last of eights may be padded.
 * To the page's end: the library reads on until it has them all, whatever length was said.
 */
function mustFit(page: Uint8Array, from: number, width: number, values: number): void {
  const begin = Math.min(from, page.length);
  const reader = new ThriftReader(new DataView(page.buffer, page.byteOffset + begin, page.length - begin));
  for (let seen = 0; seen < values && !reader.isAtEnd;) {
    const run = reader.varint();
    if (run === null) return;
    const isPacked = run % 2 === 1;
    const count = isPacked ? ((run - 1) / 2) * 8 : run / 2;
    if (count > values - seen + (isPacked ? 7 : 0)) throw new Error(`a run of ${count} values`);
    seen += count;
    reader.offset += isPacked ? (count / 8) * width : Math.ceil(width / 8);
  }
}

interface PageHeader {
  /** Whole numbers of it, by their fields: `5.1` is field 1 of the structure in field 5. */
  readonly header: ReadonlyMap<string, number>;
  readonly length: number;
}

async function headerAt(file: AsyncBuffer, at: number, end: number): Promise<PageHeader> {
  for (let bytes = USUAL_HEADER_BYTES; ; bytes *= 16) {
    const until = Math.min(end, at + bytes);
    const reader = new ThriftReader(new DataView(await file.slice(at, until)));
    const header = new Map<string, number>();
    if (reader.struct("", header)) return { header, length: reader.offset };
    if (until === end || bytes >= LONGEST_HEADER_BYTES) throw new Error("a page whose header has no end");
  }
}

/** Thrown and caught here alone: the bytes end within a value. */
class Cut extends Error {}

class ThriftReader {
  readonly #view: DataView;
  offset = 0;

  constructor(view: DataView) {
    this.#view = view;
  }

  get isAtEnd(): boolean {
    return this.offset >= this.#view.byteLength;
  }

  /** Null: it goes on after these bytes. */
  varint(): number | null {
    try {
      return this.#varint();
    } catch (error) {
      if (error instanceof Cut) return null;
      throw error;
    }
  }

  /** Notes a structure's whole numbers under `prefix`; false: it goes on after these bytes. */
  struct(prefix: string, into: Map<string, number>): boolean {
    try {
      this.#struct(prefix, into, 0);
      return true;
    } catch (error) {
      if (error instanceof Cut) return false;
      throw error;
    }
  }

  #struct(prefix: string, into: Map<string, number>, depth: number): void {
    if (depth > 8) throw new Error("a page whose header is nested too deeply");
    for (let field = 0; ;) {
      const byte = this.#byte();
      const type = byte & 15;
      if (type === STOP) return;
      const step = byte >> 4;
      field = step === 0 ? this.#zigzag() : field + step;
      this.#value(type, `${prefix}${field}`, into, depth);
    }
  }

  #value(type: number, name: string, into: Map<string, number>, depth: number): void {
    switch (type) {
      case TRUE:
        return;
      case FALSE:
        return void into.set(`${name}=false`, 0);
      case BYTE:
        return this.#skip(1);
      case I16:
      case I32:
      case I64:
        return void into.set(name, this.#zigzag());
      case DOUBLE:
        return this.#skip(8);
      case BINARY:
        return this.#skip(this.#varint());
      case STRUCT:
        return this.#struct(`${name}.`, into, depth + 1);
      case LIST: {
        const byte = this.#byte();
        const count = byte >> 4 === 15 ? this.#varint() : byte >> 4;
        const isFlag = (byte & 15) === TRUE || (byte & 15) === FALSE;
        for (let i = 0; i < count; i++)
          this.#value(isFlag ? BYTE : byte & 15, `${name}.${i}`, into, depth + 1);
        return;
      }
      default:
        throw new Error("a page whose header cannot be read");
    }
  }

  #byte(): number {
    if (this.offset >= this.#view.byteLength) throw new Cut();
    return this.#view.getUint8(this.offset++);
  }

  #skip(bytes: number): void {
    this.offset += bytes;
    if (this.offset > this.#view.byteLength) throw new Cut();
  }

  /** Seven bits a byte, the lowest first; beyond 2^53 it is no size of anything. */
  #varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      if (scale > 2 ** 63) throw new Error("a page whose header cannot be read");
    }
  }

  #zigzag(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}
