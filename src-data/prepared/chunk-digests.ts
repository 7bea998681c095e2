import { createHash } from "node:crypto";
import { CORPUS_CHUNK_BYTES, DIGEST_BYTES } from "../../src-protocol/corpus-chunks.ts";

const FIRST_ROOM = 1024;

/** The list of digests of a corpus's chunks (corpus-chunks.ts), made as its bytes come. */
export class ChunkDigests {
  #list = Buffer.alloc(FIRST_ROOM * DIGEST_BYTES);
  #count = 0;
  #hash = createHash("sha256");
  /** Bytes in the chunk that is not whole yet. */
  #filled = 0;

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CORPUS_CHUNK_BYTES - this.#filled);
      this.#hash.update(part);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === CORPUS_CHUNK_BYTES) this.#end();
    }
  }

  finish(): Buffer {
    if (this.#filled > 0) this.#end();
    return this.#list.subarray(0, this.#count * DIGEST_BYTES);
  }

  #end(): void {
    if ((this.#count + 1) * DIGEST_BYTES > this.#list.length)
      this.#list = Buffer.concat([this.#list, Buffer.alloc(this.#list.length)]);
    this.#list.set(this.#hash.digest(), this.#count * DIGEST_BYTES);
    this.#count += 1;
    this.#hash = createHash("sha256");
    this.#filled = 0;
  }
}
