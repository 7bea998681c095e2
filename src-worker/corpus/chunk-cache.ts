import { mkdir, open, readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { CORPUS_CHUNK_BYTES } from "../../src-protocol/corpus-chunks.ts";

/** Chunks in one file: a file is small enough to be written anywhere in it on every kind of disk. */
const CHUNKS_IN_A_FILE = 64;
/** More than these of one corpus are not kept: they are fetched again when a step needs them again. */
const MOST_BYTES = 4 * 1024 * 1024 * 1024;
/** Nor on a disk that has no more than these left. */
const LEFT_FREE_BYTES = 1024 * 1024 * 1024;
const LOOK_EVERY_CHUNKS = 256;

/**
 * Fetched chunks on this computer's disk. Nothing is said about them: whoever reads one hashes it. It is only a
 * cache, so a disk that cannot be written costs speed and nothing else.
 */
export class ChunkCache {
  readonly #folder: string;
  #bytes: number | null = null;
  #written = 0;
  #isFull = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** null: it is not here, or not as a whole. */
  async get(index: number, length: number): Promise<Buffer | null> {
    try {
      const file = await open(this.#pathOf(index), "r");
      try {
        const bytes = Buffer.alloc(length);
        const { bytesRead } = await file.read(bytes, 0, length, placeOf(index));
        return bytesRead === length ? bytes : null;
      } finally {
        await file.close();
      }
    } catch {
      return null;
    }
  }

  async put(index: number, bytes: Uint8Array): Promise<void> {
    try {
      if (!(await this.#hasRoom())) return;
      const path = this.#pathOf(index);
      const file = await open(path, "r+").catch(async () => {
        await mkdir(this.#folder, { recursive: true, mode: 0o700 });
        return await open(path, "a+", 0o600).then(async (made) => {
          await made.close();
          return await open(path, "r+");
        });
      });
      try {
        await file.write(bytes, 0, bytes.length, placeOf(index));
        this.#bytes = (this.#bytes ?? 0) + bytes.length;
      } finally {
        await file.close();
      }
    } catch {
      this.#isFull = true;
    }
  }

  async #hasRoom(): Promise<boolean> {
    this.#bytes ??= await sizeOf(this.#folder);
    if (this.#isFull || this.#bytes >= MOST_BYTES) return false;
    if (this.#written++ % LOOK_EVERY_CHUNKS > 0) return true;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(this.#folder);
    this.#isFull = bavail * bsize < LEFT_FREE_BYTES;
    return !this.#isFull;
  }

  #pathOf(index: number): string {
    return join(this.#folder, String(Math.floor(index / CHUNKS_IN_A_FILE)));
  }
}

const placeOf = (index: number): number => (index % CHUNKS_IN_A_FILE) * CORPUS_CHUNK_BYTES;

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder).catch(() => [])) bytes += (await stat(join(folder, name))).size;
  return bytes;
}
