import { closeSync, openSync, readSync } from "node:fs";
import { Failure } from "../../src-protocol/failure.ts";
import { diskFailure } from "../disk/disk-failure.ts";

/** A run's tokens, a part at a time. */
export interface CorpusReader {
  /** Bytes from `at` on. Rejects when they are not there, or are not the run's. */
  read(at: number, length: number): Promise<Uint8Array>;
}

/** One that is in memory as a whole. */
export function memoryCorpus(bytes: Uint8Array): CorpusReader {
  return {
    async read(at, length) {
      if (at < 0 || at + length > bytes.length) throw beyond(at, length, bytes.length);
      return bytes.subarray(at, at + length);
    },
  };
}

/** One in a file that was checked before. */
export class FileCorpus implements CorpusReader {
  readonly #path: string;
  readonly #descriptor: number;

  constructor(path: string) {
    this.#path = path;
    this.#descriptor = openSync(path, "r");
  }

  /** At once: what is read again and again is in the system's memory. */
  async read(at: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length;) {
      let read: number;
      try {
        read = readSync(this.#descriptor, bytes, done, length - done, at + done);
      } catch (error) {
        throw diskFailure(error, this.#path);
      }
      if (read === 0) throw beyond(at, length, at + done);
      done += read;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function beyond(at: number, length: number, has: number): Failure {
  return new Failure(
    "bad-offset",
    `${length} bytes at place ${at} leave the corpus, which has ${has}. It is probably not the one that the run names: fetch it again by its digest.`,
  );
}
