import { open } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { unreadable } from "./found-files.ts";

/** How a file is packed, by its first bytes. */
export type Packing = "gzip" | "zstd" | null;

const CHUNK_BYTES = 256 * 1024;

export interface ReadOptions {
  readonly packing: Packing;
  /** Told how many bytes of the file itself were read. */
  readonly onBytes?: (count: number) => void;
  /** Told why a packed file ended early: what came before counts. */
  readonly onDamage?: (why: string) => void;
}

export function packingOf(head: Uint8Array): Packing {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zstd";
  return null;
}

/** What a file holds, unpacked, piece by piece; memory does not grow with it. */
export async function* bytesOf(path: string, options: ReadOptions): AsyncGenerator<Buffer> {
  const { packing, onBytes, onDamage } = options;
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  if (onBytes) file.on("data", (chunk) => onBytes(chunk.length));
  if (packing === null) {
    try {
      for await (const chunk of file) yield chunk as Buffer;
    } catch (error) {
      throw unreadable(path, error);
    }
    return;
  }
  const unpack =
    packing === "gzip"
      ? createGunzip({ chunkSize: CHUNK_BYTES })
      : createZstdDecompress({ chunkSize: CHUNK_BYTES });
  let broken: Error | null = null;
  file.on("error", (error) => {
    broken = error;
    unpack.destroy(error);
  });
  file.pipe(unpack);
  try {
    for await (const chunk of unpack) yield chunk as Buffer;
  } catch (error) {
    if (broken !== null) throw unreadable(path, broken);
    const why = error instanceof Error ? error.message : String(error);
    onDamage?.(`its packing (${packing}) is damaged: ${why}; what came before was taken`);
  } finally {
    file.destroy();
    unpack.destroy();
  }
}

/** The first bytes of a file as it lies there. */
export async function headOf(path: string, bytes: number, from = 0): Promise<Buffer> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const buffer = Buffer.alloc(bytes);
    let done = 0;
    while (done < bytes) {
      const { bytesRead } = await handle.read(buffer, done, bytes - done, from + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return buffer.subarray(0, done);
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    await handle.close();
  }
}

/** The first bytes of what a file holds, unpacked. */
export async function unpackedHead(path: string, packing: Packing, bytes: number): Promise<Buffer> {
  if (packing === null) return await headOf(path, bytes);
  const parts: Buffer[] = [];
  let count = 0;
  for await (const chunk of bytesOf(path, { packing })) {
    parts.push(chunk);
    count += chunk.length;
    if (count >= bytes) break;
  }
  return Buffer.concat(parts).subarray(0, bytes);
}
