import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chunksDigest } from "../../src-protocol/chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { downloadFile, downloadParts } from "./chunk-download.ts";
import type { ChunkSource } from "./chunk-download.ts";
import { chunksOf } from "./chunk-server.test-support.ts";

const MIB = 1024 * 1024;
const file = randomBytes(5 * MIB + 1000);
const digest = createHash("sha256").update(file).digest("hex");

let folder: string;
let path: string;
let asked: [number, number][];
let progress: number[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-chunks-"));
  path = join(folder, "file");
  asked = [];
  progress = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Breaks off after so many bytes of each answer; bytes at `spoilt` come changed. */
function source({ breakAfter = Infinity, spoilt = -1, times = Infinity } = {}): ChunkSource {
  let left = times;
  return {
    chunks: async () => chunksOf(file),
    async *range(_digest, from, to) {
      asked.push([from, to]);
      const end = left-- > 0 ? Math.min(to, from + breakAfter) : to;
      for (let at = from; at < end; at += 300_000) {
        const piece = Buffer.from(file.subarray(at, Math.min(end, at + 300_000)));
        if (spoilt >= at && spoilt < at + piece.length) piece[spoilt - at] = (piece[spoilt - at] ?? 0) ^ 1;
        yield piece;
      }
      if (end < to) throw new Failure("blob-unavailable", "The line broke.");
    },
  };
}

function download(from: ChunkSource, signal?: AbortSignal, mostBytes = file.length): Promise<void> {
  const onProgress = (bytes: number): void => void progress.push(bytes);
  return downloadFile({ digest, path, mostBytes, source: from, signal, onProgress });
}

it("a line that breaks again and again costs nothing that has come, within a chunk too", async () => {
  await download(source({ breakAfter: 1.5 * MIB, times: 3 }));
  expect(readFileSync(path).equals(file)).toBe(true);
  expect(asked.map(([from]) => from / MIB)).toEqual([0, 1.5, 3, 4.5]);
  expect(progress.at(-1)).toBe(file.length);
  expect(progress).toEqual(progress.toSorted((a, b) => a - b));
});

it("a line that brings a third of a chunk at a time, for hours, brings the file", async () => {
  let hours = 0;
  const slow = source({ breakAfter: MIB / 3 });
  await downloadFile({
    digest,
    path,
    mostBytes: file.length,
    source: slow,
    signal: undefined,
    onProgress: () => undefined,
    now: () => (hours += 80_000),
  });
  expect(readFileSync(path).equals(file)).toBe(true);
}, 20_000);

it("what an earlier process left is hashed, and only what is missing or damaged is fetched", async () => {
  const left = Buffer.from(file.subarray(0, 4 * MIB + 17));
  left[MIB + 5] = (left[MIB + 5] ?? 0) ^ 1;
  writeFileSync(`${path}.part`, left);
  await download(source());
  expect(readFileSync(path).equals(file)).toBe(true);
  expect(asked).toEqual([
    [MIB, 2 * MIB],
    [4 * MIB, file.length],
  ]);
  expect(progress[0]).toBe(3 * MIB);
});

it("an abort keeps what has come", async () => {
  const abort = new AbortController();
  const good = source();
  const stopping: ChunkSource = {
    ...good,
    async *range(name, from, to, signal) {
      let sent = 0;
      for await (const piece of good.range(name, from, to, signal)) {
        yield piece;
        sent += piece.length;
        if (sent > 2 * MIB) abort.abort();
        signal?.throwIfAborted();
      }
    },
  };
  await expect(download(stopping, abort.signal)).rejects.toThrow("aborted");
  expect(statSync(`${path}.part`).size).toBeGreaterThanOrEqual(2 * MIB);
  await download(good);
  expect(asked.at(-1)?.[0]).toBeGreaterThanOrEqual(2 * MIB);
});

it("a chunk that comes wrong again and again ends it, and is not kept", async () => {
  await expect(download(source({ spoilt: 3 * MIB + 7 }))).rejects.toMatchObject({ code: "blob-corrupt" });
  expect(existsSync(path)).toBe(false);
});

it("a list of chunks of another file is found out by the file's own digest, and nothing stays", async () => {
  const other = randomBytes(2 * MIB);
  const lying: ChunkSource = {
    chunks: async () => chunksOf(other),
    async *range(_digest, from, to) {
      yield other.subarray(from, to);
    },
  };
  await expect(download(lying)).rejects.toMatchObject({ code: "blob-corrupt" });
  expect(existsSync(`${path}.part`)).toBe(false);
});

it("a file larger than the run says is refused before anything is asked for", async () => {
  await expect(download(source(), undefined, MIB)).rejects.toMatchObject({ code: "blob-too-large" });
  expect(asked).toEqual([]);
});

describe("parts of a file", () => {
  const parts = (from: ChunkSource, ranges: [number, number][]): Promise<unknown> =>
    downloadParts({
      digest,
      path,
      bytes: file.length,
      chunksSha256: chunksDigest(chunksOf(file).sha256),
      ranges: ranges.map(([from, to]) => ({ from, to })),
      source: from,
      signal: undefined,
      onProgress: (bytes) => void progress.push(bytes),
    });

  it("come as the chunks that they lie in, once; the rest stays a hole", async () => {
    await parts(source(), [
      [MIB + 5, MIB + 6],
      [4 * MIB - 1, 4 * MIB + 1],
    ]);
    expect(asked).toEqual([
      [MIB, 2 * MIB],
      [3 * MIB, 5 * MIB],
    ]);
    const found = readFileSync(path);
    expect(found.length).toBe(file.length);
    expect(found.subarray(MIB, 2 * MIB).equals(file.subarray(MIB, 2 * MIB))).toBe(true);
    expect(found.subarray(3 * MIB, 5 * MIB).equals(file.subarray(3 * MIB, 5 * MIB))).toBe(true);
    expect(found.subarray(0, MIB).every((byte) => byte === 0)).toBe(true);
    expect(progress.at(-1)).toBe(3 * MIB);
    await parts(source(), [[MIB, 3 * MIB]]);
    expect(asked.slice(2)).toEqual([[2 * MIB, 3 * MIB]]);
  });

  it("of another file than the run names are refused by their list, before any is taken", async () => {
    const other = { ...source(), chunks: async () => chunksOf(randomBytes(file.length)) };
    await expect(parts(other, [[0, 1]])).rejects.toMatchObject({ code: "blob-corrupt" });
    expect(asked).toEqual([]);
  });

  it("that come changed are refused", async () => {
    await expect(parts(source({ spoilt: 10 }), [[0, 20]])).rejects.toMatchObject({ code: "blob-corrupt" });
  });
});
