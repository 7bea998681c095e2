import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { chunkBytesFor, chunksDigest } from "../../src-protocol/chunks.ts";
import type { DecoderFile } from "../../src-protocol/decoder.ts";

export interface DigestProgress {
  readonly bytes: number;
  readonly totalBytes: number;
}

/** What a run knows its model's files by; they are read once, a piece at a time. */
export async function fileDigests(
  paths: readonly string[],
  {
    signal,
    onProgress = () => undefined,
  }: { signal?: AbortSignal; onProgress?: (progress: DigestProgress) => void } = {},
): Promise<DecoderFile[]> {
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  let bytes = 0;
  const found: DecoderFile[] = [];
  for (const [i, path] of paths.entries()) {
    const size = sizes[i] ?? 0;
    const chunkBytes = chunkBytesFor(size);
    const whole = createHash("sha256");
    const chunks: string[] = [];
    // Pieces of a file stream are as long as asked for, but for the last one; they are cut all the same.
    let chunk = createHash("sha256");
    let inChunk = 0;
    for await (const piece of createReadStream(path, {
      highWaterMark: chunkBytes,
    }) as AsyncIterable<Buffer>) {
      signal?.throwIfAborted();
      whole.update(piece);
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + chunkBytes - inChunk);
        chunk.update(part);
        inChunk += part.length;
        at += part.length;
        if (inChunk < chunkBytes) continue;
        chunks.push(chunk.digest("hex"));
        chunk = createHash("sha256");
        inChunk = 0;
      }
      bytes += piece.length;
      onProgress({ bytes, totalBytes });
    }
    if (inChunk > 0) chunks.push(chunk.digest("hex"));
    found.push({ sha256: whole.digest("hex"), bytes: size, chunksSha256: chunksDigest(chunks) });
  }
  return found;
}
