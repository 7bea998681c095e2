import type { AsyncBuffer, ColumnMetaData } from "hyparquet";
import { describe, expect, it } from "vitest";
import { checkPages } from "./parquet-pages.ts";

const VALUES = 20;
const asIs = (bytes: Uint8Array): Uint8Array => bytes;

/** Seven bits a byte, the lowest first. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

const whole = (field: number, value: number): number[] => [(field << 4) | 5, ...varint(value * 2)];

/** A page of the first form: its definition levels as one run, then numbers of a dictionary as another. */
function page({ values = VALUES, levels = VALUES, indices = VALUES, said = 0, bytes = 0 }): Uint8Array {
  const runs = (count: number): number[] => [...varint(count * 2), 1];
  const levelRuns = runs(levels);
  const body = [levelRuns.length, 0, 0, 0, ...levelRuns, 4, ...runs(indices)];
  const dataPage = [...whole(1, values), ...whole(1, 8), ...whole(1, 3), ...whole(1, 3), 0];
  const size = bytes === 0 ? body.length : bytes;
  const header = [...whole(1, 0), ...whole(1, size), ...whole(1, said === 0 ? body.length : said)];
  return Uint8Array.from([...header, (2 << 4) | 12, ...dataPage, 0, ...body]);
}

/** A part with these pages, one after the other. */
function checked(...pages: Uint8Array[]): Promise<void> {
  const all = Uint8Array.from(pages.flatMap((each) => [...each]));
  const file: AsyncBuffer = {
    byteLength: all.length,
    slice: (start, end = all.length) => Promise.resolve(all.slice(start, end).buffer),
  };
  const part = {
    data_page_offset: 0n,
    num_values: BigInt(VALUES * pages.length),
    total_compressed_size: BigInt(all.length),
    total_uncompressed_size: BigInt(all.length),
  } as ColumnMetaData;
  return checkPages(file, { part, levels: [0, 1] }, asIs);
}

describe("the pages of a part of a parquet file", () => {
  it("fit when their sizes and runs are within what the file's end says", async () => {
    await expect(checked(page({}), page({}))).resolves.toBeUndefined();
    // Fewer numbers than values: the others are nulls.
    await expect(checked(page({ indices: 5 }))).resolves.toBeUndefined();
  });

  it.each([
    ["more values than the part has", page({ values: VALUES + 1 }), "a page of 21 values"],
    ["a run of levels beyond them", page({ levels: VALUES + 1 }), "a run of 21 values"],
    ["a run of numbers beyond them", page({ indices: 300 }), "a run of 300 values"],
    ["more bytes unpacked than the part", page({ bytes: 5000 }), "a page of 5000 bytes"],
    ["more bytes packed than are left", page({ said: 50 }), "a page beyond its part"],
    ["a header that does not end", page({}).subarray(0, 6), "a page whose header has no end"],
  ])("do not fit with %s", async (_, damaged, why) => {
    await expect(checked(damaged)).rejects.toThrow(why);
  });
});
