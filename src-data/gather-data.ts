import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { DataSink } from "./data-sink.ts";
import { documentsOf, sourceOf } from "./documents.ts";
import type { Source } from "./documents.ts";
import { kindOf } from "./file-kind.ts";
import type { FileKind } from "./file-kind.ts";
import { findFiles } from "./found-files.ts";
import type { FoundFile, FoundFiles, LeftOut } from "./found-files.ts";
import { matchesAny } from "./name-pattern.ts";
import { splitsOf } from "./splits.ts";
import type { Split } from "./splits.ts";
import { TextWriter } from "./text-writer.ts";
import { tokensOf } from "./token-file.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** A file that trains, or that the held-out loss is measured on. */
export interface TakenFile {
  readonly name: string;
  /** What it was taken for, for a person. */
  readonly as: string;
  readonly split: Split;
  readonly tokens: number;
  /** What was lost of it. */
  readonly notes: readonly string[];
}

/** A run's tokens in one file, named by its digest in the run. */
export interface TrainingData {
  readonly corpus: RunSpec["corpus"];
  readonly tokens: number;
  /** Tokens of the validation set; null: there is none, and the end of all is held out. */
  readonly heldOutTokens: number | null;
  /** What the tokens are, for a person. */
  readonly kind: string;
  readonly taken: readonly TakenFile[];
  readonly leftOut: readonly LeftOut[];
  readonly notes: readonly string[];
}

export interface DataProgress {
  readonly file: string;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly tokens: number;
}

export interface DataOptions {
  /** Token numbers below this are the model's. */
  readonly vocabulary: number;
  /** The model's file, for a person. */
  readonly model?: string;
  /** Where the tokens are written to. */
  readonly into: string;
  /** For text; null: each byte of it is a token. */
  readonly tokenizer: TextTokenizer | null;
  /** Of records; null: the usual ones. */
  readonly column?: string | null;
  /** Names that are taken although they look like something else, and names that are not. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly largestBytes?: number;
  readonly onProgress?: (progress: DataProgress) => void;
  readonly signal?: AbortSignal;
}

export const LARGEST_DATA_BYTES = 1024 ** 3;
const LISTED_IN_ERRORS = 8;

/**
 * All data of a file or folder in one file: token files where there are any, else all that is text, in
 * the order of the names; first what trains, then the validation set. Nothing is kept in memory.
 *
 * @throws Failure that begins with `data-` and says what is wrong, those of the tokenizer,
 * `tokenizer-too-large`, `interrupted`
 */
export async function gatherData(given: string, options: DataOptions): Promise<TrainingData> {
  return await gatherFound(given, findFiles(given), options);
}

/** The same of files that were found already. */
export async function gatherFound(
  given: string,
  found: FoundFiles,
  options: DataOptions,
): Promise<TrainingData> {
  const { parts, leftOut } = await partsOf(found, options);
  if (parts.length === 0) throw nothingTaken(given, leftOut);
  const hasTokens = parts.some(({ kind }) => kind.as === "tokens");
  if (!hasTokens) checkTokenizer(options);
  const tokenBytes = options.vocabulary <= 65_536 ? 2 : 4;
  const width = hasTokens || options.tokenizer !== null ? tokenBytes : 1;
  const sink = new DataSink(options.into, options.largestBytes ?? LARGEST_DATA_BYTES);
  try {
    const writer = new TextWriter(sink, options.tokenizer, tokenBytes);
    const progress = new Progress(parts, () => sink.bytes / width, options);
    const taken: TakenFile[] = [];
    let trainingTokens = 0;
    for (const part of [...parts.filter(trains), ...parts.filter((each) => !trains(each))]) {
      const before = sink.bytes;
      const notes = await writePart(part, { sink, writer, tokenBytes, progress, options });
      const tokens = (sink.bytes - before) / width;
      taken.push({ name: part.file.name, as: asText(part, options), split: part.split, tokens, notes });
      if (trains(part)) trainingTokens += tokens;
    }
    if (trainingTokens === 0)
      throw new Failure(
        "data-empty",
        `There is nothing to train on in ${given}: ${list(taken.map(({ name, as, notes }) => `${name} (${[as, ...notes].join("; ")})`))}. Choose other data with --data.`.slice(
          0,
          2000,
        ),
      );
    const tokens = sink.bytes / width;
    const hasHeldOut = parts.some((part) => !trains(part)) && tokens > trainingTokens;
    return {
      corpus: {
        name: found.name,
        sha256: sink.finish(),
        bytes: sink.bytes,
        tokenBytes: width,
        ...(hasHeldOut ? { trainingTokens } : {}),
      },
      tokens,
      heldOutTokens: hasHeldOut ? tokens - trainingTokens : null,
      kind: kindText(hasTokens, tokenBytes, options.tokenizer),
      taken,
      leftOut,
      notes: hasTokens ? [] : textNotes(options, parts),
    };
  } finally {
    sink.close();
  }
}

interface Part {
  readonly file: FoundFile;
  readonly kind: FileKind;
  readonly split: Split;
  /** null: token numbers. */
  readonly source: Source | null;
}

const trains = ({ split }: Part): boolean => split !== "validation";

/** What is taken of all that was found, and why the rest is not. */
async function partsOf(
  found: FoundFiles,
  options: DataOptions,
): Promise<{ parts: Part[]; leftOut: LeftOut[] }> {
  const leftOut: LeftOut[] = [...found.leftOut];
  const taken: Omit<Part, "split">[] = [];
  const files = new Map(found.files.map(({ name, path }) => [name, path]));
  for (const file of found.files) {
    mustGoOn(options.signal);
    const isAsked = found.isOneFile || matchesAny(options.include ?? [], file.name);
    const kind: FileKind = matchesAny(options.exclude ?? [], file.name)
      ? { as: "nothing", why: "as asked by --exclude" }
      : await attempted(() => kindOf(file, { vocabulary: options.vocabulary, isAsked, files }));
    if (kind.as === "nothing") leftOut.push({ name: file.name, why: kind.why });
    else if (kind.as === "tokens") taken.push({ file, kind, source: null });
    else {
      const source = await attempted(() => sourceOf(file, kind, options.column ?? null));
      if ("file" in source) taken.push({ file, kind, source });
      else leftOut.push({ name: file.name, why: "missing" in source ? source.missing : source.why });
    }
  }
  const hasTokens = taken.some(({ kind }) => kind.as === "tokens");
  const fit = taken.filter(({ file, kind }) => {
    const isFit = !hasTokens || kind.as === "tokens";
    if (!isFit)
      leftOut.push({
        name: file.name,
        why: "text, and the token files are taken; choose one kind with --exclude",
      });
    return isFit;
  });
  const splits = splitsOf(fit.map(({ file }) => file.name));
  const parts = fit.flatMap((each, i): Part[] => {
    const split = splits[i] ?? "train";
    if (split !== "test") return [{ ...each, split }];
    leftOut.push({ name: each.file.name, why: "a test set, so nothing is trained or measured on it" });
    return [];
  });
  if (found.hidden > 0)
    leftOut.push({
      name: found.hidden === 1 ? "1 hidden file" : `${found.hidden} hidden files`,
      why: "names that begin with a dot",
    });
  return { parts, leftOut };
}

/** A file that cannot be read costs itself. */
async function attempted<Result>(
  read: () => Promise<Result>,
): Promise<Result | { as: "nothing"; why: string }> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { as: "nothing", why: error.message };
  }
}

/** Everything of one file, in pieces; gives what was lost of it. */
async function writePart(
  { file, kind, source }: Part,
  context: {
    sink: DataSink;
    writer: TextWriter;
    tokenBytes: 2 | 4;
    progress: Progress;
    options: DataOptions;
  },
): Promise<readonly string[]> {
  const { sink, writer, tokenBytes, progress, options } = context;
  const { signal, vocabulary } = options;
  const notes: string[] = [];
  const onBytes = (count: number): void => progress.read(file.name, count);
  if (kind.as === "tokens") {
    for await (const chunk of tokensOf(file, kind.layout, { vocabulary, width: tokenBytes, onBytes })) {
      mustGoOn(signal);
      sink.write(chunk);
    }
  } else if (source !== null) {
    const template = options.tokenizer?.chatTemplate ?? null;
    for await (const text of documentsOf(source, { template, note: (note) => notes.push(note), onBytes })) {
      mustGoOn(signal);
      await writer.take(text);
    }
    await writer.flush();
  }
  return notes;
}

function mustGoOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new Failure(
    "interrupted",
    "Interrupted while the data was read. Nothing was trained, and nothing was written.",
  );
}

/** Says how far it is, file by file. */
class Progress {
  readonly #total: number;
  readonly #tokens: () => number;
  readonly #tell: DataOptions["onProgress"];
  #bytes = 0;

  constructor(parts: readonly Part[], tokens: () => number, { onProgress }: DataOptions) {
    this.#total = parts.reduce((sum, { file }) => sum + file.bytes, 0);
    this.#tokens = tokens;
    this.#tell = onProgress;
  }

  read(file: string, count: number): void {
    this.#bytes += count;
    this.#tell?.({ file, bytes: this.#bytes, totalBytes: this.#total, tokens: this.#tokens() });
  }
}

/** Before anything is encoded: whether the model knows all that the tokenizer may give. */
function checkTokenizer({ tokenizer, vocabulary, model = "the model" }: DataOptions): void {
  if (tokenizer === null && vocabulary < 256)
    throw new Failure(
      "data-needs-tokens",
      `The model knows ${vocabulary} tokens, fewer than a byte has values, so text cannot be taken as bytes. ` +
        "Put a tokenizer.json beside the model, or token files (.u16 or .u32) into the data folder.",
    );
  if (tokenizer !== null && tokenizer.largestToken >= vocabulary)
    throw new Failure(
      "tokenizer-too-large",
      `The tokenizer ${tokenizer.name} has tokens up to ${tokenizer.largestToken}, and ${model} knows only those from 0 to ${vocabulary - 1}: they do not belong together. ` +
        "Put the model's own tokenizer.json beside it, or export the model with an embedding for every token.",
    );
}

function kindText(hasTokens: boolean, width: 2 | 4, tokenizer: TextTokenizer | null): string {
  if (hasTokens) return `token numbers (stored with ${width * 8} bits)`;
  return tokenizer === null ? "bytes of text" : `tokens of ${tokenizer.name}`;
}

function textNotes(
  { tokenizer, vocabulary, model = "The model" }: DataOptions,
  parts: readonly Part[],
): string[] {
  const notes: string[] = [];
  if (tokenizer === null && vocabulary > 256)
    notes.push(
      `${model} knows ${vocabulary} tokens, and there is no tokenizer.json beside it or in the data folder: the text is taken byte by byte, tokens 0 to 255.`,
    );
  if (tokenizer !== null)
    notes.push(
      tokenizer.endOfText === null
        ? "The tokenizer has no end-of-text token, so documents are set apart by an empty line."
        : `Documents are set apart by the end-of-text token ${tokenizer.endOfText.text} (${tokenizer.endOfText.id}).`,
    );
  if (parts.some(({ source }) => source?.isChat === true) && (tokenizer?.chatTemplate ?? null) === null)
    notes.push(
      'The tokenizer has no chat template, so conversations are written as "role: content", one message after another.',
    );
  return notes;
}

const TEXT_AS: Readonly<Record<Source["kind"]["as"], string>> = {
  text: "text",
  jsonl: "JSON lines",
  json: "JSON",
  csv: "CSV",
  parquet: "parquet",
};

function asText({ kind, source }: Part, { tokenizer }: DataOptions): string {
  if (kind.as === "tokens") return kind.layout.format;
  if (source === null || kind.as === "nothing") return "";
  const words = [TEXT_AS[kind.as]];
  if (source.column !== null && source.column !== "")
    words.push(`${source.isChat ? "conversations in " : ""}column "${source.column}"`);
  if (source.isChat && tokenizer?.chatTemplate) words.push(`through ${tokenizer.chatTemplate.name}`);
  if (kind.as !== "parquet" && kind.packing !== null) words.push(kind.packing);
  if (kind.as !== "parquet" && kind.encoding !== "utf-8") words.push(ENCODINGS[kind.encoding]);
  return words.join(", ");
}

const ENCODINGS = {
  "utf-8": "UTF-8",
  "utf-16le": "UTF-16",
  "utf-16be": "UTF-16 (big-endian)",
  "windows-1252": "Latin-1 (windows-1252)",
};

function nothingTaken(given: string, leftOut: readonly LeftOut[]): Failure {
  return new Failure(
    "data-not-text",
    `Nothing in ${given} is data to train on: ${list(leftOut.map(({ name, why }) => `${name} (${why})`))}. ` +
      "Text, JSON lines, JSON, CSV, parquet (each also as .gz or .zst) and token files (.u16, .u32, .bin, .npy) are read; --include NAME takes a file that looks like something else.".slice(
        0,
        2000,
      ),
  );
}

function list(items: readonly string[]): string {
  const shown = items
    .slice(0, LISTED_IN_ERRORS)
    .map((item) => item.slice(0, 160))
    .join("; ");
  return items.length > LISTED_IN_ERRORS ? `${shown}; and ${items.length - LISTED_IN_ERRORS} more` : shown;
}
