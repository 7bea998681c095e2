import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import {
  CHUNKED_FROM_BYTES,
  CORPUS_CHUNK_BYTES,
  LARGEST_CORPUS_BYTES,
  chunkListFile,
} from "../../src-protocol/corpus-chunks.ts";
import type { CorpusChunks } from "../../src-protocol/corpus-chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { size } from "../../src-protocol/amounts.ts";
import { ChunkDigests } from "./chunk-digests.ts";
import { writeFailure } from "./data-room.ts";

const REREAD_BYTES = 4 * 1024 * 1024;
const synced = promisify(fdatasync);

export interface SinkOptions {
  /** So many bytes of the file are there from before and stay. */
  readonly kept?: number;
  readonly largest?: number;
  /** Told how many of them were looked at again; it may throw. */
  readonly onReread?: (bytes: number) => void;
}

/** The one file that everything goes into. Its digests are made as it is written. */
export class DataSink {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #largest: number;
  readonly #hash = createHash("sha256");
  readonly #chunks = new ChunkDigests();
  #bytes = 0;
  #skip = 0;

  private constructor(path: string, largest: number) {
    this.#path = path;
    this.#largest = largest;
    try {
      this.#descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (error) {
      throw writeFailure(error, path);
    }
  }

  /** What is kept is read once more for the digests; a file that has fewer bytes is begun anew (`bytes` is 0). */
  static async open(path: string, options: SinkOptions = {}): Promise<DataSink> {
    const { kept = 0, largest = LARGEST_CORPUS_BYTES, onReread = () => {} } = options;
    const sink = new DataSink(path, largest);
    try {
      const isThere = fstatSync(sink.#descriptor).size >= kept;
      ftruncateSync(sink.#descriptor, isThere ? kept : 0);
      if (isThere) await sink.#reread(kept, onReread);
      return sink;
    } catch (error) {
      sink.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The next so many bytes are in the file already: they are taken and not written. */
  skip(bytes: number): void {
    this.#skip = bytes;
  }

  write(chunk: Uint8Array): void {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    const rest = chunk.subarray(skipped);
    if (this.#bytes + rest.length > this.#largest)
      throw new Failure(
        "data-too-large",
        `There is more than ${size(this.#largest)} of data, more than one run can take. Choose less with --data.`,
      );
    try {
      for (let done = 0; done < rest.length;)
        done += writeSync(this.#descriptor, rest, done, rest.length - done, this.#bytes + done);
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    this.#count(rest);
  }

  /** What was written until now is on the disk. */
  async sync(): Promise<void> {
    try {
      await synced(this.#descriptor);
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
  }

  /** The digests; the list of chunks lies beside the file where a run needs it. */
  finish(): { sha256: string; chunks?: CorpusChunks } {
    const sha256 = this.#hash.digest("hex");
    if (this.#bytes < CHUNKED_FROM_BYTES) return { sha256 };
    const list = this.#chunks.finish();
    try {
      writeFileSync(chunkListFile(this.#path), list, { mode: 0o600 });
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    const chunks = {
      bytes: CORPUS_CHUNK_BYTES,
      sha256: createHash("sha256").update(list).digest("hex"),
    } as const;
    return { sha256, chunks };
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  async #reread(kept: number, onReread: (bytes: number) => void): Promise<void> {
    const piece = Buffer.alloc(Math.min(kept, REREAD_BYTES));
    while (this.#bytes < kept) {
      const read = readSync(
        this.#descriptor,
        piece,
        0,
        Math.min(piece.length, kept - this.#bytes),
        this.#bytes,
      );
      if (read === 0)
        throw new Failure("data-changed", `${this.#path} became shorter while it was read. Try again.`);
      this.#count(piece.subarray(0, read));
      onReread(read);
      await setImmediate();
    }
  }

  #count(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#chunks.update(bytes);
    this.#bytes += bytes.length;
  }
}
