import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import type { AsyncBuffer, ColumnMetaData, Compressors, FileMetaData } from "hyparquet";
import { compressors as others } from "hyparquet-compressors";
import { Failure } from "../src-protocol/failure.ts";
import { unreadable } from "./found-files.ts";
import { checkPages } from "./parquet-pages.ts";

/** Of a column in a row group, as it is packed, so much is held. */
const LARGEST_PART_BYTES = 1024 ** 3;
/** About so many bytes of it are unpacked and made into records at once. */
const SLICE_BYTES = 4 * 1024 * 1024;

const unpacked =
  (how: (input: Uint8Array, options: { maxOutputLength: number }) => Buffer) =>
  (input: Uint8Array, length: number): Uint8Array => {
    refuseLarge(length);
    return how(input, { maxOutputLength: Math.max(1, length) });
  };

const COMPRESSORS: Compressors = {
  ...Object.fromEntries(
    Object.entries(others).map(([name, how]) => [
      name,
      (input: Uint8Array, length: number) => {
        refuseLarge(length);
        return how(input, length);
      },
    ]),
  ),
  GZIP: unpacked(gunzipSync),
  ZSTD: unpacked(zstdDecompressSync),
  BROTLI: unpacked(brotliDecompressSync),
};

function refuseLarge(bytes: number): void {
  if (!(bytes >= 0 && bytes <= LARGEST_PART_BYTES)) throw new Error(`a page of ${bytes} bytes`);
}

export interface ParquetFile {
  /** Columns at the top, and of what kind they are. */
  readonly columns: readonly { name: string; isText: boolean }[];
  readonly rows: number;
  /** Rows of one column, as objects with that one; rows that cannot be read cost themselves. */
  records(
    column: string,
    onDamage: (why: string) => void,
    onShare?: (share: number) => void,
    sliceBytes?: number,
  ): AsyncGenerator<unknown>;
  close(): Promise<void>;
}

/** @throws Failure `data-damaged` when its end does not say what is in it */
export async function openParquet(path: string): Promise<ParquetFile> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const file = await rangesOf(handle);
    const metadata = await parquetMetadataAsync(file);
    checkMetadata(metadata, file.byteLength);
    const columns = columnsOf(metadata);
    return {
      columns,
      rows: Number(metadata.num_rows),
      records: (column, onDamage, onShare, sliceBytes) =>
        recordsOf(file, metadata, { column, onDamage, onShare, sliceBytes }),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    if (error instanceof Failure) throw error;
    throw new Failure(
      "data-damaged",
      `${path} is a damaged parquet file: ${messageOf(error)}. Copy it again.`,
      {
        cause: error,
      },
    );
  }
}

/**
 * A slice of rows at a time: pages before it are passed over unopened. A column with parts (a list of
 * messages) has to be read from its group's beginning, so its groups are read whole.
 */
async function* recordsOf(
  file: AsyncBuffer,
  metadata: FileMetaData,
  {
    column,
    onDamage,
    onShare,
    sliceBytes = SLICE_BYTES,
  }: {
    column: string;
    onDamage: (why: string) => void;
    onShare: ((share: number) => void) | undefined;
    sliceBytes: number | undefined;
  },
): AsyncGenerator<unknown> {
  const total = Number(metadata.num_rows);
  const isFlat = metadata.schema.some(({ name, num_children: parts }) => name === column && !parts);
  let groupStart = 0;
  const damage: { from: number; to: number; why: string }[] = [];
  /** Neighbours that cannot be read are one gap. */
  const tell = (): void => {
    const [first, last] = [damage[0], damage.at(-1)];
    if (first && last) onDamage(`rows ${first.from} to ${last.to} cannot be read (${first.why})`);
    damage.length = 0;
  };
  for (const group of metadata.row_groups) {
    const groupEnd = groupStart + Number(group.num_rows);
    const part = group.columns.find(({ meta_data: data }) => data?.path_in_schema[0] === column)?.meta_data;
    const bytes = Number(part?.total_uncompressed_size ?? 0);
    const slices = isFlat ? Math.max(1, Math.ceil(bytes / sliceBytes)) : 1;
    const step = Math.max(1, Math.ceil((groupEnd - groupStart) / slices));
    const held = heldParts(file);
    // Of a column with parts, each is one.
    const parts = group.columns.flatMap(({ meta_data: data }) =>
      data?.path_in_schema[0] === column ? [data] : [],
    );
    const misfit = await pagesMisfit(file, metadata, parts);
    if (misfit !== null) {
      damage.push({ from: groupStart + 1, to: groupEnd, why: misfit });
      groupStart = groupEnd;
      onShare?.(groupEnd / total);
      continue;
    }
    for (let rowStart = groupStart; rowStart < groupEnd; rowStart += step) {
      const rowEnd = Math.min(groupEnd, rowStart + step);
      let rows: unknown[] = [];
      try {
        rows = await withGate(held, (file) =>
          parquetReadObjects({
            file,
            metadata,
            columns: [column],
            rowStart,
            rowEnd,
            compressors: COMPRESSORS,
            useOffsetIndex: false,
          }),
        );
      } catch (error) {
        damage.push({ from: rowStart + 1, to: rowEnd, why: messageOf(error) });
      }
      if (rows.length > 0) tell();
      yield* rows;
      onShare?.(rowEnd / total);
    }
    groupStart = groupEnd;
  }
  tell();
}

/** Why the pages of a group cannot be read; null: nothing speaks against it. */
async function pagesMisfit(
  file: AsyncBuffer,
  { schema }: FileMetaData,
  parts: readonly ColumnMetaData[],
): Promise<string | null> {
  try {
    for (const part of parts) {
      const unpack = part.codec === "UNCOMPRESSED" ? (bytes: Uint8Array) => bytes : COMPRESSORS[part.codec];
      if (unpack === undefined) throw new Error(`it is packed with ${part.codec}, which is not known here`);
      await checkPages(file, { part, levels: levelsOf(schema, part.path_in_schema) }, unpack);
    }
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** How deep the values of a column lie: in repeated parts, and in those that may be absent. */
function levelsOf(schema: FileMetaData["schema"], path: readonly string[]): [number, number] {
  let [repetition, definition] = [0, 0];
  let at = 1;
  let siblings = schema[0]?.num_children ?? 0;
  for (const name of path) {
    for (; siblings > 0 && schema[at]?.name !== name; siblings--) at = after(schema, at);
    const element = schema[at];
    if (element === undefined || siblings <= 0) throw new Error(`there is no column ${path.join(".")}`);
    if (element.repetition_type === "REPEATED") repetition++;
    if (element.repetition_type === "REPEATED" || element.repetition_type === "OPTIONAL") definition++;
    siblings = element.num_children ?? 0;
    at++;
  }
  return [repetition, definition];
}

/**
 * The library asks for the bytes of all columns and then looks at how they fit together: if it throws there
 * (a damaged schema), nobody hears what becomes of the columns, and one that fails would end the process. So
 * no bytes come before it is past that.
 */
async function withGate<Result>(
  file: AsyncBuffer,
  read: (file: AsyncBuffer) => Promise<Result>,
): Promise<Result> {
  const gate = Promise.withResolvers<void>();
  const reading = read({
    byteLength: file.byteLength,
    slice: async (start, end) => {
      await gate.promise;
      return await file.slice(start, end);
    },
  });
  let hasFailed = false;
  reading.catch(() => (hasFailed = true));
  await setImmediate();
  if (!hasFailed) gate.resolve();
  return await reading;
}

/** The part that was asked for last is not read again for the next slice of it. */
function heldParts(file: AsyncBuffer): AsyncBuffer {
  let held: { start: number; end: number | undefined; bytes: ArrayBuffer } | null = null;
  return {
    byteLength: file.byteLength,
    async slice(start, end) {
      if (held?.start !== start || held.end !== end)
        held = { start, end, bytes: await file.slice(start, end) };
      return held.bytes;
    },
  };
}

function columnsOf({ schema }: FileMetaData): { name: string; isText: boolean }[] {
  const columns: { name: string; isText: boolean }[] = [];
  for (let at = 1; at < schema.length;) {
    const element = schema[at];
    if (!element) break;
    columns.push({ name: element.name, isText: element.type === "BYTE_ARRAY" && !element.num_children });
    at = after(schema, at);
  }
  return columns;
}

/** Where the next column begins: one with parts is followed by them. */
function after(schema: FileMetaData["schema"], at: number): number {
  let next = at + 1;
  const children = schema[at]?.num_children ?? 0;
  for (let i = 0; i < children && next < schema.length; i++) next = after(schema, next);
  return next;
}

/** Sizes are looked at before anything is allocated for them. */
function checkMetadata(metadata: FileMetaData, fileBytes: number): void {
  let rows = 0;
  for (const group of metadata.row_groups) {
    rows += Number(group.num_rows);
    if (!(Number(group.num_rows) >= 0)) throw new Error("a group with fewer than no rows");
    for (const { meta_data: part } of group.columns) {
      if (!part) throw new Error("a column in another file");
      const bytes = Number(part.total_compressed_size);
      const from = Number(part.dictionary_page_offset ?? part.data_page_offset);
      if (!(bytes >= 0 && from >= 0 && from + bytes <= fileBytes))
        throw new Error("a column beyond the file's end");
      if (Number(part.total_uncompressed_size) > LARGEST_PART_BYTES)
        throw new Error(
          `a group of rows with ${Math.round(Number(part.total_uncompressed_size) / 1e6)} MB in one column; write it with smaller row groups`,
        );
      // Every value takes a bit at least before it is packed; a dictionary's single value may take none.
      if (Number(part.num_values) > MOST_VALUES) throw new Error(`${part.num_values} values in one group`);
    }
    if (Number(group.num_rows) > MOST_VALUES) throw new Error(`${group.num_rows} rows in one group`);
  }
  if (rows !== Number(metadata.num_rows)) throw new Error("groups that do not add up to its rows");
}

const MOST_VALUES = 50_000_000;

async function rangesOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const from = start < 0 ? Math.max(0, size + start) : start;
      const length = Math.min(end, size) - from;
      if (!(length >= 0)) throw new Error("a part beyond the file's end");
      const buffer = new ArrayBuffer(length);
      const view = new Uint8Array(buffer);
      for (let done = 0; done < length;) {
        const { bytesRead } = await handle.read(view, done, length - done, from + done);
        if (bytesRead === 0) throw new Error("it became shorter while it was read");
        done += bytesRead;
      }
      return buffer;
    },
  };
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 200);
}
