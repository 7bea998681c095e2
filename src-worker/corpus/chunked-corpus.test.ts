import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { CORPUS_CHUNK_BYTES } from "../../src-protocol/corpus-chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { ChunkSource } from "../loading/chunk-download.ts";
import { samplesAhead, samplesOf } from "../stage/stage-samples.ts";
import { tinyRun } from "../tiny-run.test-support.ts";
import { ChunkCache } from "./chunk-cache.ts";
import { ChunkedCorpus } from "./chunked-corpus.ts";
import type { ChunkedCorpusPorts } from "./chunked-corpus.ts";
import { memoryCorpus } from "./corpus-reader.ts";

const BYTES = 10 * CORPUS_CHUNK_BYTES + 1234;
const corpus = new Uint8Array(BYTES).map((_, i) => (i * 2_654_435_761) >>> 24);
const list = Buffer.concat(
  Array.from({ length: 11 }, (_, i) =>
    createHash("sha256")
      .update(corpus.subarray(i * CORPUS_CHUNK_BYTES, (i + 1) * CORPUS_CHUNK_BYTES))
      .digest(),
  ),
);

let folder: string;
/** Chunks that the network was asked for, in order. */
let asked: number[];
let send: (from: number, to: number) => Uint8Array;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah chunked "));
  asked = [];
  send = (from, to) => corpus.subarray(from, to);
  return () => rmSync(folder, { recursive: true, force: true });
});

const source: ChunkSource = {
  chunks: () => Promise.reject(new Error("the list is known")),
  async *range(_, from, to) {
    asked.push(from / CORPUS_CHUNK_BYTES);
    const bytes = send(from, to);
    yield bytes.subarray(0, 1000);
    yield bytes.subarray(1000);
  },
};

const nobody = { fetchPart: () => Promise.resolve(null) };

function open(
  file: string | null = null,
  neighbours: ChunkedCorpusPorts["neighbours"] = nobody,
): ChunkedCorpus {
  const cache = new ChunkCache(join(folder, "kept"));
  return new ChunkedCorpus({ sha256: sha256(corpus), bytes: BYTES, list, file, cache, neighbours, source });
}

it("fetches the chunks that a part lies in, once, also after a restart", async () => {
  const at = 3 * CORPUS_CHUNK_BYTES - 5;
  expect(await open().read(at, 10)).toEqual(Buffer.from(corpus.subarray(at, at + 10)));
  expect(asked.sort()).toEqual([2, 3]);
  const again = open();
  expect(await again.read(at - 100, 200)).toEqual(Buffer.from(corpus.subarray(at - 100, at + 100)));
  expect(await again.read(BYTES - 3, 3)).toEqual(Buffer.from(corpus.subarray(BYTES - 3)));
  expect(asked).toEqual([2, 3, 10]);
});

it("fetches a chunk once for all that ask at the same time", async () => {
  const reader = open();
  await Promise.all([reader.read(0, 10), reader.read(20, 10), reader.read(40, 10)]);
  expect(asked).toEqual([0]);
});

it("fetches a chunk again that was damaged on this computer's disk", async () => {
  await open().read(0, 10);
  for (const name of readdirSync(join(folder, "kept")))
    writeFileSync(join(folder, "kept", name), "x".repeat(99));
  expect(await open().read(0, 10)).toEqual(Buffer.from(corpus.subarray(0, 10)));
  expect(asked).toEqual([0, 0]);
});

it("reads a corpus that lies on this computer where it is; a damaged part of it comes from the network", async () => {
  const file = join(folder, "corpus");
  const damaged = Uint8Array.from(corpus);
  damaged[5 * CORPUS_CHUNK_BYTES] = (damaged[5 * CORPUS_CHUNK_BYTES] ?? 0) ^ 1;
  writeFileSync(file, damaged);
  const reader = open(file);
  for (const at of [0, 100, 4 * CORPUS_CHUNK_BYTES, 5 * CORPUS_CHUNK_BYTES - 7, BYTES - 20])
    expect(await reader.read(at, 20)).toEqual(Buffer.from(corpus.subarray(at, at + 20)));
  expect(asked).toEqual([5]);
  await reader.close();
});

it("takes nothing that is not what the run names", async () => {
  send = (from, to) => new Uint8Array(to - from);
  await expect(open().read(0, 10)).rejects.toMatchObject({ code: "blob-corrupt" });
  expect(asked).toEqual([0, 0, 0]);
});

it("asks again when a transfer breaks", async () => {
  let times = 0;
  send = (from, to) => {
    times += 1;
    if (times === 1) throw new Failure("blob-unavailable", "it broke");
    return corpus.subarray(from, to);
  };
  expect(await open().read(0, 2)).toEqual(Buffer.from(corpus.subarray(0, 2)));
});

it("gives up what is on its way when it is told to", async () => {
  send = () => {
    throw new Failure("blob-unavailable", "nobody there");
  };
  const reader = open();
  const reading = reader.read(0, 10);
  reader.giveUp();
  await expect(reading).rejects.toThrow(/abort/i);
});

it("refuses a list of another length, and a place beyond its end", async () => {
  expect(
    () =>
      new ChunkedCorpus({
        sha256: "",
        bytes: 10,
        list,
        file: null,
        cache: new ChunkCache(folder),
        neighbours: nobody,
        source,
      }),
  ).toThrow(/The list of the corpus's chunks/);
  await expect(open().read(BYTES - 1, 2)).rejects.toMatchObject({ code: "bad-offset" });
});

it("a step's samples are the same from chunks as from a corpus in memory, and the next ones come before they are asked for", async () => {
  const spec = tinyRun({
    corpus: { name: "x", sha256: sha256(corpus), bytes: BYTES, tokenBytes: 2 },
    batch: 3,
    sequence: 40,
    microBatches: 4,
  });
  const whole = samplesOf(spec, memoryCorpus(corpus));
  const chunked = samplesAhead(spec, open());
  for (let step = 0; step < 3; step++)
    for (let microBatch = 0; microBatch < 4; microBatch++)
      for (const pass of ["forward", "evaluate"] as const) {
        const place = { pass, step, microBatch };
        expect(await chunked(place)).toEqual(await whole(place));
      }
  await expect.poll(() => new Set(asked).size).toBe(asked.length);
});

it("takes chunks from neighbours that have them, and from the network what none has, or what was wrong", async () => {
  const file = join(folder, "corpus");
  writeFileSync(file, corpus);
  const neighbour = open(file);
  const given: number[] = [];
  const refused: number[] = [];
  const neighbours = {
    async fetchPart(_: string, from: number, to: number) {
      const index = from / CORPUS_CHUNK_BYTES;
      if (index === 1) return null;
      given.push(index);
      const bytes = (await neighbour.held(from, to - from)) ?? new Uint8Array();
      if (index === 2) bytes[7] = (bytes[7] ?? 0) ^ 1;
      return { bytes, refuse: () => void refused.push(index) };
    },
  };
  const reader = open(null, neighbours);
  expect(await reader.read(0, BYTES)).toEqual(Buffer.from(corpus));
  expect(asked.sort()).toEqual([1, 2]);
  expect(refused).toEqual([2]);
  expect(given).toHaveLength(10);
  // What came is given on, whole chunks only.
  expect(await reader.held(0, CORPUS_CHUNK_BYTES)).toEqual(
    Buffer.from(corpus.subarray(0, CORPUS_CHUNK_BYTES)),
  );
  expect([await reader.held(5, 10), await open().held(BYTES, 1)]).toEqual([null, null]);
});
