import { z } from "zod";
import { sha256Hex } from "./keys.ts";
import { sha256 } from "./signing.ts";

const MIB = 1024 * 1024;
/** Files beyond this are cut coarser, so that their list stays short. */
const COARSE_FROM_BYTES = 1024 * MIB;
/** 4 TiB. */
export const MOST_CHUNKS = 2 ** 20;

/**
 * The parts of a stored file, each by its SHA-256: what comes is checked part by part and kept, so
 * that a broken transfer goes on where it was. The file's own digest still decides about the whole.
 */
export const chunkList = z
  .strictObject({
    bytes: z
      .int()
      .positive()
      .max(2 ** 42),
    chunkBytes: z
      .int()
      .min(MIB)
      .max(4 * MIB),
    sha256: z.array(sha256Hex).max(MOST_CHUNKS),
  })
  .refine(
    ({ bytes, chunkBytes, sha256 }) => sha256.length === Math.ceil(bytes / chunkBytes),
    "as many digests as the file has chunks",
  );
export type ChunkList = z.infer<typeof chunkList>;

/**
 * Binds the chunks of a file, so that a part of it can be checked without the rest: SHA-256 over their
 * own, as hex digits behind each other.
 */
export function chunksDigest(list: readonly string[]): string {
  return sha256(list.join(""));
}

/** Into how large chunks a file of `bytes` bytes is cut. */
export function chunkBytesFor(bytes: number): number {
  return bytes < COARSE_FROM_BYTES ? MIB : 4 * MIB;
}

/** The bytes `from` up to, not including, `to`, that a `Range` header of one plain range asks for; null: another form. */
export function parseRange(header: string, bytes: number): { from: number; to: number } | null {
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  if (match === null) return null;
  const [from, last] = [Number(match[1]), Number(match[2])];
  return from <= last && last < bytes ? { from, to: last + 1 } : null;
}
