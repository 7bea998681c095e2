import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { chunkListFile } from "../../src-protocol/corpus-chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { findFiles } from "../found-files.ts";
import type { FoundFiles } from "../found-files.ts";
import { gatherFound } from "../gather-data.ts";
import type { DataProgress, TrainingData } from "../gather-data.ts";
import { findTokenizer, tokenizerDigest } from "../tokenizer.ts";
import { DataJournal } from "./data-journal.ts";
import { roomAt, writeFailure } from "./data-room.ts";
import { makeRoom } from "./kept-data.ts";
import { preparedIndex, tokenFile } from "./prepared-index.ts";
import { lockReading } from "./reading-lock.ts";

/** What is to be read, and how; plain values. */
export const preparation = z.strictObject({
  /** A file or folder; with `files`, what those are called. */
  given: z.string(),
  /** Files to take instead of those that are there. */
  files: z.array(z.strictObject({ name: z.string(), path: z.string() })).optional(),
  /** Where prepared data lies, and is kept. */
  cache: z.string(),
  vocabulary: z.int().positive(),
  model: z.string().optional(),
  /** Where a `tokenizer.json` may be; none: each byte is a token. */
  tokenizers: z.array(z.string()).default([]),
  column: z.string().nullable().default(null),
  include: z.array(z.string()).default([]),
  exclude: z.array(z.string()).default([]),
});
export type Preparation = z.input<typeof preparation>;

export interface PreparedData extends TrainingData {
  /** Its tokens; the list of chunks beside it, where the corpus has one. */
  readonly file: string;
  /** What is known of it is stored here. */
  readonly index: string;
}

/** When files are read in another way than before, what was prepared is made again. */
const READING = 3;

interface Known {
  readonly found: FoundFiles;
  /** Names this state of the files and this way of reading them. */
  readonly key: string;
  /** null: it has to be read. */
  readonly data: PreparedData | null;
}

/** @throws Failure of `findFiles`, `bad-tokenizer` */
function look(wanted: z.infer<typeof preparation>): Known {
  const { given, files, cache, vocabulary, tokenizers, column, include, exclude } = wanted;
  const found = files === undefined ? findFiles(given) : listed(given, files);
  const key = keyOf(found, { vocabulary, tokenizer: tokenizerDigest(tokenizers), column, include, exclude });
  return { found, key, data: readPrepared(join(cache, `${key}.json`), cache, found.name) };
}

/** What was prepared of exactly this before; null: it has to be read. */
export function preparedBefore(wanted: Preparation): PreparedData | null {
  return look(preparation.parse(wanted)).data;
}

/**
 * Reads data once, into the cache: whoever asks again for the same, unchanged files gets what lies
 * there. What breaks off half-way, however, goes on from there the next time.
 *
 * @throws Failure of `gatherData`, of `findTokenizer`, or of the disk
 */
export async function prepareData(
  wanted: Preparation,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (progress: DataProgress) => void } = {},
): Promise<PreparedData> {
  const parsed = preparation.parse(wanted);
  const { given, cache, vocabulary, model, tokenizers, column, include, exclude } = parsed;
  const { found, key, data: known } = look(parsed);
  if (known !== null) return known;
  const index = join(cache, `${key}.json`);
  try {
    mkdirSync(cache, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw writeFailure(error, cache);
  }
  const lock = await lockReading(join(cache, `${key}.lock`), signal);
  const into = join(cache, `${key}.part`);
  const journal = new DataJournal(join(cache, `${key}.journal`));
  try {
    // Whoever had the lock before may have done it.
    const done = readPrepared(index, cache, found.name);
    if (done !== null) return done;
    const tokenizer = await findTokenizer(tokenizers);
    const data = await gatherFound(given, found, {
      vocabulary,
      ...(model === undefined ? {} : { model }),
      into,
      journal,
      tokenizer,
      column,
      include,
      exclude,
      roomBytes: () => roomAt(into),
      makeRoom: (bytes) => makeRoom(cache, bytes),
      ...(signal ? { signal } : {}),
      ...(onProgress ? { onProgress } : {}),
    });
    return keep(data, { cache, into, index, journal });
  } catch (error) {
    // What can go on is kept.
    if (!(error instanceof Failure) || !GOES_ON.has(error.code)) discard(into, journal);
    throw writeFailure(error, into);
  } finally {
    lock.release();
  }
}

const GOES_ON = new Set(["interrupted", "disk-full", "disk-too-small"]);

function discard(into: string, journal: DataJournal): void {
  for (const file of [into, chunkListFile(into)]) rmSync(file, { force: true });
  journal.remove();
}

function keep(
  data: TrainingData,
  { cache, into, index, journal }: { cache: string; into: string; index: string; journal: DataJournal },
): PreparedData {
  const file = tokenFile(cache, data.corpus.sha256);
  try {
    // The index first: a token file that no index names may be deleted by anybody who needs room.
    writeFileSync(`${index}.new`, JSON.stringify(preparedIndex.parse(data)), { mode: 0o600, flush: true });
    renameSync(`${index}.new`, index);
    if (data.corpus.chunks !== undefined) renameSync(chunkListFile(into), chunkListFile(file));
    renameSync(into, file);
    journal.remove();
  } catch (error) {
    throw writeFailure(error, file);
  }
  return { ...data, file, index };
}

/** null: missing or damaged, and made again from the files. */
function readPrepared(index: string, cache: string, name: string): PreparedData | null {
  try {
    const data = preparedIndex.parse(JSON.parse(readFileSync(index, "utf8")));
    const { sha256, bytes, chunks } = data.corpus;
    const file = tokenFile(cache, sha256);
    if (statSync(file).size !== bytes) return null;
    if (chunks !== undefined && digestOf(chunkListFile(file)) !== chunks.sha256) return null;
    // By this the oldest is known when room is needed.
    const now = new Date();
    utimesSync(index, now, now);
    return { ...data, corpus: { ...data.corpus, name }, file, index } as PreparedData;
  } catch {
    return null;
  }
}

/** Forgets what turned out to be of no use. */
export function forgetPrepared({ file, index }: PreparedData): void {
  for (const path of [index, file, chunkListFile(file)]) rmSync(path, { force: true });
}

function digestOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function listed(name: string, files: readonly { name: string; path: string }[]): FoundFiles {
  const found = files.map((file) => {
    const { size, mtimeMs } = statSync(file.path);
    return { ...file, bytes: size, modifiedMs: mtimeMs };
  });
  return { name, isOneFile: false, files: found, leftOut: [], hidden: 0 };
}

/** Names a state of the files and a way of reading them: whatever changes either makes another key. */
function keyOf({ files, isOneFile }: FoundFiles, how: Readonly<Record<string, unknown>>): string {
  const hash = createHash("sha256").update(`${JSON.stringify({ READING, isOneFile, ...how })}\n`);
  for (const { name, path, bytes, modifiedMs } of files)
    hash.update(`${name}\0${path}\0${bytes}\0${modifiedMs}\n`);
  return hash.digest("hex").slice(0, 32);
}
