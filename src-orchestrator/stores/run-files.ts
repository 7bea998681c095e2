import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { DIGEST_BYTES, chunkCount, chunkListFile } from "../../src-protocol/corpus-chunks.ts";
import type { CorpusChunks } from "../../src-protocol/corpus-chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { modelFilesOf } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { Blobs } from "./blobs.ts";

/** Where a run's files are taken from when the store does not have them. */
export interface RunFiles {
  readonly corpusFile: string;
  /** Of a run whose model has files, in the run's order. */
  readonly modelFiles: readonly string[];
}

/**
 * Takes the text and the model of a run into the store, by their digests. Gives the bytes of an ONNX
 * model; other models are cut by what the run says of them. `onBytes`: so many were read until now.
 *
 * @throws Failure `corpus-missing`, `corpus-mismatch`, `model-missing`, `model-mismatch`
 */
export async function takeFiles(
  blobs: Blobs,
  { corpus, model }: RunSpec,
  { corpusFile, modelFiles }: RunFiles,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<Uint8Array | null> {
  let read = 0;
  const count = (bytes: number): void => onBytes((read += bytes));
  if (corpus.chunks === undefined) await take(blobs, corpus, corpusFile, "corpus", count);
  else await takeChunked(blobs, corpus, corpus.chunks, corpusFile, count);
  for (const [index, file] of modelFilesOf(model).entries())
    await take(blobs, file, modelFiles[index] ?? null, "model", count);
  return model.kind === "onnx" ? await blobs.read(model.file.sha256) : null;
}

const PIECE_BYTES = 1024 * 1024;
const NAMES = { corpus: "training text", model: "model file" } as const;

/** Of a corpus that is read in chunks, the list of their digests is hashed now, and each chunk when it is asked for. */
async function takeChunked(
  blobs: Blobs,
  { sha256, bytes }: RunSpec["corpus"],
  chunks: CorpusChunks,
  file: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const list = { sha256: chunks.sha256, bytes: chunkCount(bytes) * DIGEST_BYTES };
  await take(blobs, list, chunkListFile(file), "corpus", onBytes);
  if (await blobs.adopt(sha256, file, bytes, await blobs.read(chunks.sha256))) return;
  const found = await stat(file).catch(() => null);
  throw found?.isFile() === true ? mismatch("corpus", file) : missing("corpus", file);
}

async function take(
  blobs: Blobs,
  { sha256, bytes }: { sha256: string; bytes: number },
  file: string | null,
  kind: keyof typeof NAMES,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if (await isIntact(blobs, sha256, bytes, onBytes)) return;
  const found = file === null ? null : await stat(file).catch(() => null);
  if (file === null || found === null || !found.isFile()) throw missing(kind, file ?? sha256);
  try {
    await blobs.put(sha256, counted(file, onBytes), bytes);
  } catch (error) {
    if (!(error instanceof Failure) || (error.code !== "blob-mismatch" && error.code !== "blob-too-large"))
      throw error;
    throw mismatch(kind, file, error);
  }
  if ((await blobs.length(sha256)) !== bytes) throw mismatch(kind, file);
}

async function* counted(path: string, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>) {
    yield piece;
    onBytes(piece.length);
  }
}

async function isIntact(
  blobs: Blobs,
  sha256: string,
  bytes: number,
  onBytes: (bytes: number) => void,
): Promise<boolean> {
  if ((await blobs.length(sha256)) !== bytes) return false;
  return await blobs.get(sha256, onBytes).then(
    () => true,
    () => false,
  );
}

function missing(kind: keyof typeof NAMES, file: string): Failure {
  const name = NAMES[kind];
  return new Failure(
    `${kind}-missing`,
    `The ${name} ${file} is not there, and the store has no good copy. Give the path of the ${name}.`,
  );
}

function mismatch(kind: keyof typeof NAMES, file: string, cause?: Failure): Failure {
  const name = NAMES[kind];
  return new Failure(
    `${kind}-mismatch`,
    `The ${name} ${file} is not the one this run was started with. Put that one back, or use a new folder for a new run.`,
    { cause },
  );
}
