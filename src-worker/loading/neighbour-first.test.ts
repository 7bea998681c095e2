import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { BLOB_ASKS, BLOB_PART_BYTES } from "../../src-protocol/peer.ts";
import { chunksDigest } from "../../src-protocol/chunks.ts";
import type { BlobMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { memoryLinks } from "../links/index.ts";
import type { Link } from "../links/index.ts";
import { signerA, signerB } from "../links/link-conformance.ts";
import { BlobExchange, blobsIn } from "./blob-exchange.ts";
import { downloadFile } from "./chunk-download.ts";
import type { ChunkSource } from "./chunk-download.ts";
import { chunksOf } from "./chunk-server.test-support.ts";
import { NeighbourFirst } from "./neighbour-first.ts";

const MIB = 1024 * 1024;
const file = randomBytes(4 * MIB + 1000);
const digest = sha256(file);

let folder: string;
let links: { a: Link; b: Link }[];
/** Byte ranges that the orchestrator was asked for. */
let asked: [number, number][];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-neighbour-"));
  links = [];
  asked = [];
});
afterEach(() => {
  for (const { a } of links) a.close("test over");
  rmSync(folder, { recursive: true, force: true });
});

const orchestrator: ChunkSource = {
  chunks: async () => chunksOf(file),
  async *range(_digest, from, to) {
    asked.push([from, to]);
    for (let at = from; at < to; at += 300_000) yield file.subarray(at, Math.min(to, at + 300_000));
  },
};

function link(): { a: Link; b: Link } {
  const pair = memoryLinks({ a: signerA.publicKey, b: signerB.publicKey });
  links.push(pair);
  return pair;
}

/** A neighbour with these files by digest. */
function neighbour(files: Readonly<Record<string, Uint8Array>>, at: Link): BlobExchange {
  const own = mkdtempSync(join(folder, "neighbour-"));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(own, name), bytes);
  const exchange = new BlobExchange(blobsIn([join(own, "nothing"), own]));
  exchange.join(at);
  return exchange;
}

async function download(exchange: BlobExchange): Promise<Buffer> {
  const path = join(folder, "file");
  const source = new NeighbourFirst(orchestrator, exchange);
  const nothing = { signal: undefined, onProgress: () => undefined };
  await downloadFile({ digest, path, mostBytes: file.length, source, ...nothing });
  return readFileSync(path);
}

it("a file that a neighbour has comes from there, and nothing of it from the orchestrator", async () => {
  const { a, b } = link();
  neighbour({ [digest]: file }, b);
  const mine = neighbour({}, a);
  expect((await download(mine)).equals(file)).toBe(true);
  expect(asked).toEqual([]);
  expect(mine.bytes).toBe(file.length);
});

it("a list of chunks that is not the one of the assignment is refused before anything is fetched", async () => {
  const source = new NeighbourFirst(orchestrator, new BlobExchange(async () => null));
  const path = join(folder, "file");
  const fetching = {
    digest,
    path,
    mostBytes: file.length,
    source,
    signal: undefined,
    onProgress: () => undefined,
  };
  source.commit([{ sha256: digest, chunksSha256: sha256("of another file") }]);
  await expect(downloadFile(fetching)).rejects.toMatchObject({ code: "blob-corrupt" });
  expect(asked).toEqual([]);
  source.commit([{ sha256: digest, chunksSha256: chunksDigest(chunksOf(file).sha256) }]);
  await downloadFile(fetching);
  expect(readFileSync(path).equals(file)).toBe(true);
});

it("what no neighbour has, or one that lies or has half of it gives, comes from the orchestrator", async () => {
  const changed = Buffer.from(file);
  changed[MIB + 7] = (changed[MIB + 7] ?? 0) ^ 1;
  const mine = new BlobExchange(async () => null);
  for (const theirs of [{}, { [digest]: file.subarray(0, 3000) }, { [digest]: changed }]) {
    const { a, b } = link();
    neighbour(theirs, b);
    mine.join(a);
  }
  expect((await download(mine)).equals(file)).toBe(true);
  // The first chunk of the changed file was right; the lie in the second was found there.
  expect(asked).toEqual([[MIB, file.length]]);
  expect(mine.bytes).toBe(MIB);
});

it("a neighbour that comes while the orchestrator sends gives the rest", async () => {
  const mine = new BlobExchange(async () => null);
  const late: ChunkSource = {
    ...orchestrator,
    async *range(name, from, to) {
      for await (const piece of orchestrator.range(name, from, to)) {
        yield piece;
        if (links.length > 0) continue;
        const { a, b } = link();
        neighbour({ [digest]: file }, b);
        mine.join(a);
      }
    },
  };
  const path = join(folder, "file");
  const source = new NeighbourFirst(late, mine);
  const nothing = { signal: undefined, onProgress: () => undefined };
  await downloadFile({ digest, path, mostBytes: file.length, source, ...nothing });
  expect(readFileSync(path).equals(file)).toBe(true);
  expect(asked).toEqual([[0, file.length]]);
  expect(mine.bytes).toBe(file.length - MIB);
});

it("a neighbour that hears later than we that we are neighbours gives the file then", async () => {
  const { a, b } = link();
  const mine = neighbour({}, a);
  setTimeout(() => neighbour({ [digest]: file }, b), 50);
  expect((await download(mine)).equals(file)).toBe(true);
  expect(asked).toEqual([]);
});

it("a neighbour that does not hear of it is waited for a moment, not for as long as an answer may take", async () => {
  const mine = neighbour({}, link().a);
  expect((await download(mine)).equals(file)).toBe(true);
  expect(asked).toEqual([[0, file.length]]);
});

it("a neighbour that falls silent or goes in the middle is done without", async () => {
  const { a, b } = link();
  let heard = 0;
  b.onBlob(() => {
    heard += 1;
    if (heard === 3) b.close("gone");
  });
  const mine = neighbour({}, a);
  expect((await download(mine)).equals(file)).toBe(true);
  expect(asked).toEqual([[0, file.length]]);
});

it("F8: who asks for more at once than it may hears that there is nothing, and no file but those by digest is given", async () => {
  const { a, b } = link();
  neighbour({ [digest]: file }, b);
  const answers: BlobMessage["type"][] = [];
  a.onBlob(({ type }) => void answers.push(type));
  const ask = (id: number, name: string, from = 0) =>
    a.send({ type: "blobAsk", id, sha256: name, from, length: BLOB_PART_BYTES });
  await Promise.all(Array.from({ length: 10 * BLOB_ASKS }, (_, id) => ask(id, digest)));
  while (answers.length < 10 * BLOB_ASKS) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(answers.filter((type) => type === "blobPart").length).toBeLessThan(10 * BLOB_ASKS);
  expect(answers.filter((type) => type === "blobPart").length).toBeGreaterThanOrEqual(BLOB_ASKS);
  answers.length = 0;
  await ask(1, sha256("another"));
  await ask(2, digest, file.length - 10);
  while (answers.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(answers).toEqual(["blobNone", "blobNone"]);
  const closed = new Promise((resolve) => b.onClose(resolve));
  void ask(3, "../../etc/passwd").catch(() => undefined);
  expect(await closed).toMatch(/^frame-meta/);
});
