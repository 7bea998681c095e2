import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { sha256 } from "../src-protocol/signing.ts";
import type { Blobs } from "./blobs.ts";
import { diskFailure } from "./disk-failure.ts";

/** Training texts by digest: from this computer's cache, else from the orchestrator. */
export class CorpusCache {
  readonly #folder: string;
  readonly #blobs: Pick<Blobs, "get">;
  #last: { sha256: string; bytes: Uint8Array } | null = null;

  constructor(folder: string, blobs: Pick<Blobs, "get">) {
    this.#folder = folder;
    this.#blobs = blobs;
  }

  /** The verified bytes. Rejects as `Blobs.get`, with `corpus-size`, or with a disk Failure. */
  async get({ sha256: digest, bytes: size }: RunSpec["corpus"], signal?: AbortSignal): Promise<Uint8Array> {
    if (this.#last?.sha256 === digest) return this.#last.bytes;
    const path = join(this.#folder, digest);
    const cached = await readFile(path).catch(() => null);
    let bytes: Uint8Array;
    if (cached !== null && sha256(cached) === digest) {
      bytes = cached;
    } else {
      // A damaged copy is only a cache: it is replaced.
      bytes = await this.#blobs.get(digest, size, signal);
      await this.#store(path, bytes);
    }
    if (bytes.length !== size) {
      throw new Failure(
        "corpus-size",
        `The text ${digest} has ${bytes.length} bytes, but the run says ${size}. The run cannot be trained.`,
      );
    }
    this.#last = { sha256: digest, bytes };
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
