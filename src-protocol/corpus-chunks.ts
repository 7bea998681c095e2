import { z } from "zod";
import { sha256Hex } from "./keys.ts";

/** A corpus of so many bytes or more is fetched and read in chunks; a smaller one as a whole. */
export const CHUNKED_FROM_BYTES = 64 * 1024 * 1024;
/** What a sample takes is a few kilobytes: chunks are small, so that little more has to be fetched. */
export const CORPUS_CHUNK_BYTES = 64 * 1024;
/** SHA-256, as it is in a list of digests. */
export const DIGEST_BYTES = 32;
/** 256 GiB: its list of digests is held in memory by whoever reads it, 128 MiB. */
export const LARGEST_CORPUS_BYTES = 2 ** 38;

/**
 * The digest of a corpus as a tree of two levels: the SHA-256 of each chunk, 32 bytes one after another,
 * is the list, which is stored by its own SHA-256. So any part of a corpus can be checked by itself.
 */
export const corpusChunks = z.strictObject({
  /** Of every chunk but the last, which may be shorter. */
  bytes: z.literal(CORPUS_CHUNK_BYTES),
  /** Of the list. */
  sha256: sha256Hex,
});
export type CorpusChunks = z.infer<typeof corpusChunks>;

export function chunkCount(corpusBytes: number): number {
  return Math.ceil(corpusBytes / CORPUS_CHUNK_BYTES);
}

/** The list lies beside a corpus in one file. */
export function chunkListFile(corpusFile: string): string {
  return `${corpusFile}.chunks`;
}
