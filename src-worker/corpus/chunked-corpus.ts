import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { CORPUS_CHUNK_BYTES, DIGEST_BYTES, chunkCount } from "../../src-protocol/corpus-chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { persistently } from "../loading/persistently.ts";
import type { ChunkSource } from "../loading/chunk-download.ts";
import type { BlobExchange } from "../loading/blob-exchange.ts";
import type { ChunkCache } from "./chunk-cache.ts";
import type { CorpusReader } from "./corpus-reader.ts";

export interface ChunkedCorpusPorts {
  /** The corpus's own digest and length. */
  readonly sha256: string;
  readonly bytes: number;
  /** The list of its chunks' digests, checked (corpus-chunks.ts). */
  readonly list: Uint8Array;
  /** Where the corpus may lie on this computer as a whole; null: nowhere. It is not copied. */
  readonly file: string | null;
  readonly cache: ChunkCache;
  /** Who is asked for the rest: neighbours first, each for what it happens to have. */
  readonly neighbours: Pick<BlobExchange, "fetchPart">;
  readonly source: ChunkSource;
  /** Milliseconds, of a clock that never jumps. */
  readonly now?: () => number;
}

/** A chunk that comes wrong so often does not come right. */
const MOST_WRONG = 3;

/**
 * A corpus of any size, of which only the chunks are touched that somebody asks for: from a file of this
 * computer, else from those that were fetched before, else from the network's store. Each is hashed before it
 * is used for the first time; memory holds one bit and 32 bytes a chunk.
 */
export class ChunkedCorpus implements CorpusReader {
  readonly sha256: string;
  readonly #ports: ChunkedCorpusPorts;
  /** Chunks that the file has right. */
  readonly #inFile: Uint8Array;
  /** Chunks that are being fetched or read. */
  readonly #coming = new Map<number, Promise<Uint8Array>>();
  #abort = new AbortController();
  #file: Promise<FileHandle | null>;

  /** @throws Failure `blob-size` when the list is not one of such a corpus */
  constructor(ports: ChunkedCorpusPorts) {
    this.sha256 = ports.sha256;
    this.#ports = ports;
    const count = chunkCount(ports.bytes);
    if (ports.list.length !== count * DIGEST_BYTES)
      throw new Failure(
        "blob-size",
        `The list of the corpus's chunks has ${ports.list.length} bytes, and ${count} chunks need ${count * DIGEST_BYTES}. The run cannot be trained.`,
      );
    this.#inFile = new Uint8Array(Math.ceil(count / 8));
    this.#file = this.#open();
  }

  async read(at: number, length: number): Promise<Uint8Array> {
    const { bytes } = this.#ports;
    if (at < 0 || at + length > bytes)
      throw new Failure("bad-offset", `${length} bytes at place ${at} leave the corpus, which has ${bytes}.`);
    const out = Buffer.alloc(length);
    const [first, last] = [
      Math.floor(at / CORPUS_CHUNK_BYTES),
      Math.floor((at + length - 1) / CORPUS_CHUNK_BYTES),
    ];
    const indices = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    if (indices.every((index) => this.#isInFile(index)) && (await this.#readFile(out, at))) return out;
    await Promise.all(
      indices.map(async (index) => {
        const chunk = await this.#chunk(index);
        const from = index * CORPUS_CHUNK_BYTES;
        const [begin, end] = [Math.max(at, from), Math.min(at + length, from + chunk.length)];
        out.set(chunk.subarray(begin - from, end - from), begin - at);
      }),
    );
    return out;
  }

  /** For a neighbour: the bytes of one chunk, if they are here and right; null: they are not. */
  async held(from: number, length: number): Promise<Uint8Array | null> {
    const index = from / CORPUS_CHUNK_BYTES;
    const isChunk =
      Number.isInteger(index) && length === Math.min(CORPUS_CHUNK_BYTES, this.#ports.bytes - from);
    return isChunk ? await this.#here(index, from, length) : null;
  }

  /** What is on its way is given up: whoever waits for it hears so. */
  giveUp(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  async close(): Promise<void> {
    this.giveUp();
    await (await this.#file)?.close();
    this.#file = Promise.resolve(null);
  }

  async #chunk(index: number): Promise<Uint8Array> {
    const known = this.#coming.get(index);
    if (known !== undefined) return await known;
    const coming = this.#find(index).finally(() => this.#coming.delete(index));
    this.#coming.set(index, coming);
    return await coming;
  }

  async #find(index: number): Promise<Uint8Array> {
    const { cache, neighbours, source, sha256, now } = this.#ports;
    const { signal } = this.#abort;
    const from = index * CORPUS_CHUNK_BYTES;
    const to = Math.min(this.#ports.bytes, from + CORPUS_CHUNK_BYTES);
    const here = await this.#here(index, from, to - from);
    if (here !== null) return here;
    const given = await neighbours.fetchPart(sha256, from, to, signal);
    if (given !== null) {
      if (this.#isRight(index, given.bytes)) {
        await cache.put(index, given.bytes);
        return given.bytes;
      }
      given.refuse();
    }
    let wrong = 0;
    const fetched = await persistently({ signal, ...(now ? { now } : {}) }, async () => {
      const bytes = await all(source.range(sha256, from, to, signal), to - from);
      if (this.#isRight(index, bytes)) return bytes;
      wrong += 1;
      const code = wrong < MOST_WRONG ? "blob-unavailable" : "blob-corrupt";
      throw new Failure(
        code,
        `The network sent other bytes than those of chunk ${index} of the text ${sha256}. They were thrown away.`,
      );
    });
    await cache.put(index, fetched);
    return fetched;
  }

  async #here(index: number, from: number, length: number): Promise<Uint8Array | null> {
    const own = Buffer.alloc(length);
    if ((await this.#readFile(own, from)) && this.#isRight(index, own)) {
      this.#inFile[index >> 3] = (this.#inFile[index >> 3] ?? 0) | (1 << (index & 7));
      return own;
    }
    const cached = await this.#ports.cache.get(index, length);
    return cached !== null && this.#isRight(index, cached) ? cached : null;
  }

  #isRight(index: number, bytes: Uint8Array): boolean {
    const digest = createHash("sha256").update(bytes).digest();
    return digest.equals(this.#ports.list.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES));
  }

  #isInFile(index: number): boolean {
    return ((this.#inFile[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  async #open(): Promise<FileHandle | null> {
    const { file } = this.#ports;
    return file === null ? null : await open(file, "r").catch(() => null);
  }

  /** Whether all of it was there. */
  async #readFile(into: Buffer, at: number): Promise<boolean> {
    const file = await this.#file;
    if (file === null) return false;
    try {
      return (await file.read(into, 0, into.length, at)).bytesRead === into.length;
    } catch {
      return false;
    }
  }
}

async function all(pieces: AsyncIterable<Uint8Array>, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let at = 0;
  for await (const piece of pieces) {
    bytes.set(piece.subarray(0, length - at), at);
    at += Math.min(piece.length, length - at);
  }
  return bytes;
}
