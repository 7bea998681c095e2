import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import { downloadFile } from "./chunk-download.ts";
import type { ChunkSource } from "./chunk-download.ts";
import { digestOf } from "../disk/digest.ts";
import { diskFailure } from "../disk/disk-failure.ts";

export interface NamedBlob {
  readonly sha256: string;
  readonly bytes: number;
}

export interface BlobCacheOptions {
  /** Bytes that are here and right, while a file comes. */
  readonly onProgress?: (bytes: number, ofBytes: number) => void;
  /** True: whatever is not the file asked for last is deleted. */
  readonly onlyLast?: boolean;
}

/** Files that a run names by digest: from this computer's cache, else from the orchestrator, chunk by chunk. */
export class BlobCache {
  readonly #folder: string;
  readonly #source: ChunkSource;
  readonly #options: BlobCacheOptions;

  constructor(folder: string, source: ChunkSource, options: BlobCacheOptions = {}) {
    this.#folder = folder;
    this.#source = source;
    this.#options = options;
  }

  /** The verified bytes. Rejects as `downloadFile` or with `blob-size`. */
  async get(
    { sha256: digest, bytes: size }: NamedBlob,
    signal?: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.atMost(digest, size, signal);
    if (bytes.length !== size) {
      throw new Failure(
        "blob-size",
        `The file ${digest} has ${bytes.length} bytes, but the run says ${size}. The run cannot be trained.`,
      );
    }
    return bytes;
  }

  /** The same for a file of which only a limit is known. */
  async atMost(digest: string, mostBytes: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const path = join(this.#folder, digest);
    const cached = await readUpTo(path, mostBytes);
    if (cached !== null && (await digestOf(cached)) === digest) return cached;
    // A damaged copy is only a cache: it is replaced.
    await this.#prepare(digest);
    const { onProgress = () => undefined } = this.#options;
    await downloadFile({ digest, path, mostBytes, source: this.#source, signal, onProgress });
    const bytes = await readUpTo(path, mostBytes);
    if (bytes === null || (await digestOf(bytes)) !== digest) {
      throw new Failure(
        "blob-corrupt",
        `The file ${path} is not what was written there a moment ago. Check the disk.`,
      );
    }
    return bytes;
  }

  /** The path of the verified file, of which nothing is held in memory. Rejects as `downloadFile`. */
  async file(digest: string, mostBytes: number, signal?: AbortSignal): Promise<string> {
    const path = join(this.#folder, digest);
    const found = await stat(path).catch(() => null);
    if (found !== null && found.size <= mostBytes && (await digestOfFile(path)) === digest) return path;
    await this.#prepare(digest);
    const { onProgress = () => undefined } = this.#options;
    await downloadFile({ digest, path, mostBytes, source: this.#source, signal, onProgress });
    return path;
  }

  async #prepare(digest: string): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      if (this.#options.onlyLast !== true) return;
      for (const name of await readdir(this.#folder))
        if (!name.startsWith(digest)) await rm(join(this.#folder, name), { force: true });
    } catch (error) {
      throw diskFailure(error, this.#folder);
    }
  }
}

async function digestOfFile(path: string): Promise<string | null> {
  const hash = createHash("sha256");
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 }))
      hash.update(piece as Buffer);
  } catch {
    // As good as none: it is fetched again.
    return null;
  }
  return hash.digest("hex");
}

/** In pieces: a single read ends at 2 GiB. Null when there is no such file, or a larger one. */
async function readUpTo(path: string, mostBytes: number): Promise<Uint8Array<ArrayBuffer> | null> {
  const found = await stat(path).catch(() => null);
  if (found === null || !found.isFile() || found.size > mostBytes) return null;
  const file = await open(path, "r");
  try {
    const bytes = new Uint8Array(found.size);
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, 2 ** 26), at);
      if (bytesRead === 0) return null;
      at += bytesRead;
    }
    return bytes;
  } catch (error) {
    throw diskFailure(error, path);
  } finally {
    await file.close();
  }
}
