import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { decoderParameters } from "../../src-engine/families/decoder-parameters.ts";
import { headerLength, LENGTH_BYTES, parseHeader } from "../../src-engine/families/safetensors.ts";
import type { SafetensorsHeader } from "../../src-engine/families/safetensors.ts";
import type { DecoderFile, DecoderSpec } from "../../src-protocol/decoder.ts";
import { diskFailure } from "../disk/disk-failure.ts";
import { readPart } from "./blob-exchange.ts";
import { downloadParts } from "./chunk-download.ts";
import type { ByteRange, ChunkSource } from "./chunk-download.ts";

export interface ModelPartsOptions {
  /** Bytes that are here and right, while parts come. */
  readonly onProgress?: (bytes: number, ofBytes: number) => void;
}

/**
 * Of a model's files, the parts that some parameters lie in: from this computer's cache, else from the
 * source, chunk by chunk; what is here is given on to neighbours. What no parameter needs is never asked for.
 */
export class ModelParts {
  readonly #folder: string;
  readonly #source: ChunkSource;
  /** Of each file, the chunks that were checked since the start: where they begin and end. */
  readonly #held = new Map<string, Map<number, number>>();
  readonly #onProgress: (bytes: number, ofBytes: number) => void;

  constructor(folder: string, source: ChunkSource, { onProgress = () => undefined }: ModelPartsOptions = {}) {
    this.#folder = folder;
    this.#source = source;
    this.#onProgress = onProgress;
  }

  /**
   * Paths of the files, in their order; each has its whole length, and holes where nothing was asked
   * for. Rejects as `downloadParts`, or with `bad-safetensors`.
   */
  async get(model: DecoderSpec, names: ReadonlySet<string>, signal?: AbortSignal): Promise<string[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw diskFailure(error, this.#folder);
    });
    const stored = new Set(decoderParameters(model).flatMap(({ name }) => (names.has(name) ? [name] : [])));
    const headers: SafetensorsHeader[] = [];
    for (const file of model.files) headers.push(await this.#header(file, signal));
    const wanted = headers.map(({ tensors }) => tensors.filter(({ name }) => stored.has(name)));
    const total = wanted.flat().reduce((sum, { from, to }) => sum + to - from, 0);
    let before = 0;
    for (const [index, file] of model.files.entries()) {
      const ranges = wanted[index] ?? [];
      const own = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
      // Of chunks, which reach over the ends of tensors, as a share of what is wanted.
      await this.#take(file, ranges, signal, (bytes, ofBytes) =>
        this.#onProgress(Math.round(before + (own * bytes) / Math.max(1, ofBytes)), Math.max(1, total)),
      );
      before += own;
    }
    return model.files.map((file) => this.#path(file));
  }

  async #header(file: DecoderFile, signal: AbortSignal | undefined): Promise<SafetensorsHeader> {
    await this.#take(file, [{ from: 0, to: Math.min(LENGTH_BYTES, file.bytes) }], signal);
    const length = headerLength(await this.#read(file, 0, Math.min(LENGTH_BYTES, file.bytes)), file.bytes);
    const range = { from: LENGTH_BYTES, to: LENGTH_BYTES + length };
    await this.#take(file, [range], signal);
    return parseHeader(await this.#read(file, range.from, range.to), file.bytes);
  }

  async #take(
    { sha256: digest, bytes, chunksSha256 }: DecoderFile,
    ranges: readonly ByteRange[],
    signal: AbortSignal | undefined,
    onProgress: (bytes: number, ofBytes: number) => void = () => undefined,
  ): Promise<void> {
    if (ranges.length === 0) return;
    const path = this.#path({ sha256: digest });
    const held = await downloadParts({
      digest,
      path,
      bytes,
      chunksSha256,
      source: this.#source,
      signal,
      ranges,
      onProgress,
    });
    const known = this.#held.get(digest) ?? new Map<number, number>();
    this.#held.set(digest, known);
    for (const { from, to } of held) known.set(from, to);
  }

  /** For a neighbour: bytes that lie in one chunk that was checked; null: they are not here. */
  async held(sha256: string, from: number, length: number): Promise<Uint8Array | null> {
    for (const [begin, end] of this.#held.get(sha256) ?? [])
      if (begin <= from && from + length <= end) return await readPart(this.#path({ sha256 }), from, length);
    return null;
  }

  async #read(file: DecoderFile, from: number, to: number): Promise<Uint8Array> {
    const handle = await open(this.#path(file), "r");
    try {
      const bytes = new Uint8Array(to - from);
      for (let done = 0; done < bytes.length;) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, from + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  }

  #path({ sha256 }: Pick<DecoderFile, "sha256">): string {
    return join(this.#folder, `${sha256}.parts`);
  }
}
