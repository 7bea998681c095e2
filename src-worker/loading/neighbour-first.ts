import { createHash } from "node:crypto";
import { Failure } from "../../src-protocol/failure.ts";
import { chunksDigest } from "../../src-protocol/chunks.ts";
import type { ChunkList } from "../../src-protocol/chunks.ts";
import type { BlobExchange } from "./blob-exchange.ts";
import type { ChunkSource } from "./chunk-download.ts";

/** Lists that are remembered: those of one stage's files. */
const LISTS_KEPT = 8;

/**
 * Chunks from whichever neighbour has the file, and from the orchestrator what none of them has. A
 * neighbour's chunk is checked here, before anybody sees it: one that lies costs one chunk and is not
 * asked for that file again. Which chunks there are is bound by the assignment, or is the orchestrator's
 * word where that says nothing.
 */
export class NeighbourFirst implements ChunkSource {
  readonly #orchestrator: ChunkSource;
  readonly #exchange: Pick<BlobExchange, "mayHave" | "fetch">;
  readonly #lists = new Map<string, ChunkList>();
  #assigned: ReadonlyMap<string, string> = new Map();

  constructor(orchestrator: ChunkSource, exchange: Pick<BlobExchange, "mayHave" | "fetch">) {
    this.#orchestrator = orchestrator;
    this.#exchange = exchange;
  }

  /** What an assignment says the chunks of its files are known by; a list that is another one is refused. */
  commit(lists: readonly { readonly sha256: string; readonly chunksSha256: string }[]): void {
    this.#assigned = new Map(lists.map(({ sha256, chunksSha256 }) => [sha256, chunksSha256]));
  }

  async chunks(digest: string, signal?: AbortSignal): Promise<ChunkList> {
    const list = await this.#orchestrator.chunks(digest, signal);
    const assigned = this.#assigned.get(digest);
    if (assigned !== undefined && assigned !== chunksDigest(list.sha256))
      throw new Failure(
        "blob-corrupt",
        `The list of the chunks of ${digest} is not the one that was assigned. It was thrown away.`,
      );
    this.#lists.delete(digest);
    this.#lists.set(digest, list);
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size <= LISTS_KEPT) break;
      this.#lists.delete(oldest);
    }
    return list;
  }

  async *range(digest: string, from: number, to: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const list = this.#lists.get(digest);
    if (list === undefined) return yield* this.#orchestrator.range(digest, from, to, signal);
    let at = from;
    while (at < to) {
      const bytes = await this.#chunkAt(list, digest, at, to, signal);
      if (bytes !== null) {
        yield bytes;
        at += bytes.length;
        continue;
      }
      const before = at;
      for await (const piece of this.#orchestrator.range(digest, at, to, signal)) {
        const end = endOfChunk(list, at);
        // From the next chunk on a neighbour may give the rest: one has come, or has it now.
        if (at + piece.length >= end && end < to && this.#exchange.mayHave(digest)) {
          yield piece.subarray(0, end - at);
          at = end;
          break;
        }
        yield piece;
        at += piece.length;
      }
      if (at === before) return;
    }
  }

  /** Null: no neighbour gives the chunk that begins at `at`, or it is asked for in part. */
  async #chunkAt(
    list: ChunkList,
    digest: string,
    at: number,
    to: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | null> {
    const end = endOfChunk(list, at);
    if (at % list.chunkBytes !== 0 || end > to || !this.#exchange.mayHave(digest)) return null;
    const chunk = await this.#exchange.fetch(digest, at, end, signal);
    if (chunk === null) return null;
    const found = createHash("sha256").update(chunk.bytes).digest("hex");
    if (found === list.sha256[at / list.chunkBytes]) return chunk.bytes;
    chunk.refuse();
    return null;
  }
}

function endOfChunk({ bytes, chunkBytes }: ChunkList, at: number): number {
  return Math.min(bytes, (Math.floor(at / chunkBytes) + 1) * chunkBytes);
}
