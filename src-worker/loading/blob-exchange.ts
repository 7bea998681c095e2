import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { BLOB_ASKS, BLOB_PART_BYTES } from "../../src-protocol/peer.ts";
import type { BlobMessage } from "../../src-protocol/peer.ts";
import type { Link } from "../links/index.ts";

/** Half of what may be: an answer can be here before the other side knows that it has left. */
const ASKS_UNDER_WAY = BLOB_ASKS / 2;
/** A neighbour that answers nothing for so long is not asked any more for a while. */
const ANSWER_MS = 20_000;
/** A neighbour that has a file not may be loading it just now. */
const LACKING_MS = 15_000;
const LACKING_KEPT = 1_024;

type Ask = Extract<BlobMessage, { type: "blobAsk" }>;

/** Where a file that a run names lies on this computer, whole and verified; null: it does not. */
export type FindBlob = (sha256: string) => Promise<string | null>;

/** Parts of files that are here in part: the bytes, right as far as is known here; null: they are not. */
export type ReadHeld = (sha256: string, from: number, length: number) => Promise<Uint8Array | null>;

/** Looks into the folders in which files lie by their digest. */
export function blobsIn(folders: readonly string[]): FindBlob {
  return async (sha256) => {
    for (const folder of folders) {
      // SECURITY: `sha256` was parsed as 64 hex digits: it names no other file.
      const path = join(folder, sha256);
      const found = await stat(path).catch(() => null);
      if (found?.isFile() === true) return path;
    }
    return null;
  };
}

/** One neighbour as a source of files. */
class Neighbour {
  readonly #link: Link;
  readonly #read: ReadHeld;
  readonly #now: () => number;
  #asks = 0;
  readonly #waiting = new Map<number, (bytes: Uint8Array | null) => void>();
  /** Files that it did not have, or gave wrong, and when it may be asked again. */
  readonly #lacking = new Map<string, number>();
  #answering = 0;

  constructor(link: Link, read: ReadHeld, now: () => number) {
    this.#link = link;
    this.#read = read;
    this.#now = now;
    link.onBlob((message, payload) => this.#hear(message, payload));
  }

  has(sha256: string): boolean {
    return (this.#lacking.get(sha256) ?? -Infinity) <= this.#now();
  }

  lacks(sha256: string, forMs: number): void {
    this.#lacking.set(sha256, this.#now() + forMs);
    if (this.#lacking.size < LACKING_KEPT) return;
    for (const [name, until] of this.#lacking) if (until <= this.#now()) this.#lacking.delete(name);
  }

  /** Null: it has not all of that. */
  async fetch(sha256: string, from: number, to: number, signal?: AbortSignal): Promise<Uint8Array | null> {
    const bytes = new Uint8Array(to - from);
    let next = 0;
    let isGood = true;
    const one = async (): Promise<void> => {
      while (next < bytes.length && isGood) {
        const at = next;
        next = Math.min(bytes.length, at + BLOB_PART_BYTES);
        const part = await this.#part(sha256, from + at, next - at, signal);
        if (part?.length === Math.min(bytes.length, at + BLOB_PART_BYTES) - at) bytes.set(part, at);
        else isGood = false;
      }
    };
    await Promise.all(Array.from({ length: ASKS_UNDER_WAY }, one));
    return isGood && signal?.aborted !== true ? bytes : null;
  }

  /** Whoever waits for it hears that there is nothing. */
  end(): void {
    for (const answer of this.#waiting.values()) answer(null);
    this.#waiting.clear();
  }

  #part(sha256: string, from: number, length: number, signal?: AbortSignal): Promise<Uint8Array | null> {
    if (signal?.aborted === true) return Promise.resolve(null);
    const id = this.#asks++;
    return new Promise((resolve) => {
      const done = (bytes: Uint8Array | null): void => {
        clearTimeout(late);
        signal?.removeEventListener("abort", abort);
        this.#waiting.delete(id);
        resolve(bytes);
      };
      const abort = (): void => done(null);
      const late = setTimeout(abort, ANSWER_MS).unref();
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.set(id, done);
      this.#link.send({ type: "blobAsk", id, sha256, from, length }).catch(abort);
    });
  }

  #hear(message: BlobMessage, payload: Uint8Array): void {
    switch (message.type) {
      case "blobPart":
        return this.#waiting.get(message.id)?.(payload);
      case "blobNone":
        return this.#waiting.get(message.id)?.(null);
      case "blobAsk":
        void this.#answer(message);
    }
  }

  /** SECURITY: so much is read for one neighbour at a time, and no ask waits here. */
  async #answer(ask: Ask): Promise<void> {
    const isBusy = this.#answering >= BLOB_ASKS;
    this.#answering += 1;
    try {
      const bytes = isBusy ? null : await this.#read(ask.sha256, ask.from, ask.length);
      if (bytes === null) await this.#link.send({ type: "blobNone", id: ask.id });
      else await this.#link.send({ type: "blobPart", id: ask.id }, bytes);
    } catch {
      // The link has closed.
    } finally {
      this.#answering -= 1;
    }
  }
}

export interface ExchangedChunk {
  readonly bytes: Uint8Array;
  /** They are not what they should be: this neighbour is not asked for the file any more. */
  refuse(): void;
}

/**
 * Files of the run between neighbours that an assignment has named: what one of them has, the others
 * need not fetch from the orchestrator. Nothing of it is trusted: whoever asks checks each chunk.
 */
export class BlobExchange {
  readonly #find: FindBlob;
  readonly #held: ReadHeld[] = [];
  readonly #now: () => number;
  readonly #neighbours = new Map<Link, Neighbour>();
  /** Bytes that came from neighbours and were taken. */
  bytes = 0;

  /** @param now milliseconds, of a clock that never jumps */
  constructor(find: FindBlob, now: () => number = () => performance.now()) {
    this.#find = find;
    this.#now = now;
  }

  /** What is here in part is given, too. */
  offer(held: ReadHeld): void {
    this.#held.push(held);
  }

  /** A link to a neighbour of this run: it may ask, and is asked. */
  join(link: Link): void {
    if (this.#neighbours.has(link)) return;
    const neighbour = new Neighbour(link, (...ask) => this.#read(...ask), this.#now);
    this.#neighbours.set(link, neighbour);
    link.onClose(() => {
      this.#neighbours.delete(link);
      neighbour.end();
    });
  }

  /** A neighbour is there that may have the file. */
  mayHave(sha256: string): boolean {
    return [...this.#neighbours.values()].some((neighbour) => neighbour.has(sha256));
  }

  /** The same for a file of which everybody has other parts: who lacks one may have the next. */
  async fetchPart(
    sha256: string,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): Promise<ExchangedChunk | null> {
    return await this.fetch(sha256, from, to, signal, `${sha256} ${from}`);
  }

  /**
   * The bytes `from` up to, not including, `to`, unverified; null: no neighbour has them.
   * @param lacked what a neighbour that has them not is known to lack for a while
   */
  async fetch(
    sha256: string,
    from: number,
    to: number,
    signal?: AbortSignal,
    lacked = sha256,
  ): Promise<ExchangedChunk | null> {
    for (const neighbour of this.#neighbours.values()) {
      if (!neighbour.has(sha256) || !neighbour.has(lacked)) continue;
      const bytes = await neighbour.fetch(sha256, from, to, signal);
      signal?.throwIfAborted();
      if (bytes === null) {
        neighbour.lacks(lacked, LACKING_MS);
        continue;
      }
      this.bytes += bytes.length;
      return {
        bytes,
        refuse: () => {
          this.bytes -= bytes.length;
          neighbour.lacks(sha256, Infinity);
        },
      };
    }
    return null;
  }

  async #read(sha256: string, from: number, length: number): Promise<Uint8Array | null> {
    try {
      const path = await this.#find(sha256);
      if (path !== null) return await readPart(path, from, length);
      for (const held of this.#held) {
        const bytes = await held(sha256, from, length);
        if (bytes !== null) return bytes;
      }
      return null;
    } catch {
      return null;
    }
  }
}

/** Null: the file ends before. */
export async function readPart(path: string, from: number, length: number): Promise<Uint8Array | null> {
  const file = await open(path, "r");
  try {
    const bytes = new Uint8Array(length);
    const { bytesRead } = await file.read(bytes, 0, length, from);
    return bytesRead === length ? bytes : null;
  } finally {
    await file.close();
  }
}
