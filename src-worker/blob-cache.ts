import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import type { Blobs } from "./blobs.ts";
import { digestOf } from "./digest.ts";
import { diskFailure } from "./disk-failure.ts";

export interface NamedBlob {
  readonly sha256: string;
  readonly bytes: number;
}

/** Texts and models that a run names by digest: from this computer's cache, else from the orchestrator. */
export class BlobCache {
  readonly #folder: string;
  readonly #blobs: Pick<Blobs, "get">;

  constructor(folder: string, blobs: Pick<Blobs, "get">) {
    this.#folder = folder;
    this.#blobs = blobs;
  }

  /** The verified bytes. Rejects as `Blobs.get`, with `blob-size`, or with a disk Failure. */
  async get(
    { sha256: digest, bytes: size }: NamedBlob,
    signal?: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const path = join(this.#folder, digest);
    const cached = await readFile(path).catch(() => null);
    let bytes: Uint8Array<ArrayBuffer>;
    if (cached !== null && (await digestOf(cached)) === digest) {
      bytes = cached;
    } else {
      // A damaged copy is only a cache: it is replaced.
      bytes = await this.#blobs.get(digest, size, signal);
      await this.#store(path, bytes);
    }
    if (bytes.length !== size) {
      throw new Failure(
        "blob-size",
        `The file ${digest} has ${bytes.length} bytes, but the run says ${size}. The run cannot be trained.`,
      );
    }
    return bytes;
  }

  async #store(path: string, bytes: Uint8Array): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(`${path}.writing`, bytes, { mode: 0o600 });
      await rename(`${path}.writing`, path);
    } catch (error) {
      throw diskFailure(error, path);
    }
  }
}
