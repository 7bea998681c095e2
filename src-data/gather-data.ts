import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { DataJournal, ReadingState } from "./prepared/data-journal.ts";
import { diskFull, mustHaveRoom, roomAt } from "./prepared/data-room.ts";
import { DataSink } from "./prepared/data-sink.ts";
import { documentsOf, sourceOf } from "./documents.ts";
import type { Source } from "./documents.ts";
import { kindOf } from "./file-kind.ts";
import type { FileKind } from "./file-kind.ts";
import { interrupted } from "./interrupted.ts";
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
  /** Finding out what each file is; looking again at what an earlier reading left; reading. */
  readonly stage: "looking" | "resuming" | "reading";
  /** The one it is at. */
  readonly file: string;
  /** Of all files, as they lie there. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** Until now. */
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
  /** Where it is written down how far the reading is; it goes on from what stands there. */
  readonly journal?: DataJournal;
  /** Milliseconds between two of its entries: what is read twice after a power cut. */
  readonly keepEveryMs?: number;
  /** Bytes that may be written; without: what the disk has. */
  readonly roomBytes?: () => number;
  /** Sees to it that so many bytes may be written, if that can be. */
  readonly makeRoom?: (bytes: number) => void;
  readonly onProgress?: (progress: DataProgress) => void;
  readonly signal?: AbortSignal;
}

const LISTED_IN_ERRORS = 8;
const KEEP_EVERY_MS = 5_000;

/**
 * All data of a file or folder in one file: token files where there are any, else all that is text, in
 * the order of the names; first what trains, then the validation set. Nothing is kept in memory.
 *
 * @throws Failure that begins with `data-` and says what is wrong, those of the tokenizer,
 * `tokenizer-too-large`, `disk-too-small`, `disk-full`, `interrupted`
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
  const reading = await Reading.open([...parts.filter(trains), ...parts.filter((each) => !trains(each))], {
    options,
    tokenBytes,
    width,
  });
  try {
    const taken = await reading.toTheEnd();
    const sum = (files: readonly TakenFile[]): number => files.reduce((all, { tokens }) => all + tokens, 0);
    const trainingTokens = sum(taken.filter(trains));
    if (trainingTokens === 0)
      throw new Failure(
        "data-empty",
        `There is nothing to train on in ${given}: ${list(taken.map(({ name, as, notes }) => `${name} (${[as, ...notes].join("; ")})`))}. Choose other data with --data.`.slice(
          0,
          2000,
        ),
      );
    const tokens = sum(taken);
    const hasHeldOut = tokens > trainingTokens;
    return {
      corpus: {
        name: found.name,
        ...reading.sink.finish(),
        bytes: reading.sink.bytes,
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
    reading.sink.close();
  }
}

interface Part {
  readonly file: FoundFile;
  readonly kind: FileKind;
  readonly split: Split;
  /** null: token numbers. */
  readonly source: Source | null;
}

const trains = ({ split }: { readonly split: Split }): boolean => split !== "validation";

/** What is taken of all that was found, and why the rest is not. */
async function partsOf(
  found: FoundFiles,
  options: DataOptions,
): Promise<{ parts: Part[]; leftOut: LeftOut[] }> {
  const leftOut: LeftOut[] = [...found.leftOut];
  const taken: Omit<Part, "split">[] = [];
  const files = new Map(found.files.map(({ name, path }) => [name, path]));
  const totalBytes = found.files.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const file of found.files) {
    mustGoOn(options.signal);
    options.onProgress?.({ stage: "looking", file: file.name, bytes: 0, totalBytes, tokens: 0 });
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

interface ReadingContext {
  readonly options: DataOptions;
  readonly tokenBytes: 2 | 4;
  /** Of a token as it is written; 1: each byte is one. */
  readonly width: 1 | 2 | 4;
}

/** All files into the sink, one after another, from the beginning or from where the journal says. */
class Reading {
  readonly sink: DataSink;
  readonly #parts: readonly Part[];
  readonly #context: ReadingContext;
  readonly #writer: TextWriter;
  readonly #progress: Progress;
  readonly #done: { name: string; tokens: number; notes: readonly string[] }[] = [];
  readonly #resumed: ReadingState | null;
  #begins = 0;
  #keptAt = performance.now();

  private constructor(
    parts: readonly Part[],
    context: ReadingContext,
    sink: DataSink,
    resumed: ReadingState | null,
  ) {
    this.#parts = parts;
    this.#context = context;
    this.sink = sink;
    this.#resumed = resumed;
    const { options, tokenBytes, width } = context;
    this.#writer = new TextWriter(sink, options.tokenizer, tokenBytes, () => this.#keep());
    this.#progress = new Progress(parts, () => sink.bytes / width, options);
  }

  static async open(parts: readonly Part[], context: ReadingContext): Promise<Reading> {
    const { into, journal, largestBytes: largest, signal, onProgress, roomBytes, makeRoom } = context.options;
    const known = journal?.read() ?? null;
    // A journal of other files belongs to nothing here.
    const resumed = known?.done.every(({ name }, i) => parts[i]?.file.name === name) === true ? known : null;
    const needed = leastBytes(parts, context) - (resumed?.bytes ?? 0);
    makeRoom?.(needed);
    mustHaveRoom(into, needed, roomBytes?.());
    let bytes = 0;
    const sink = await DataSink.open(into, {
      kept: resumed?.bytes ?? 0,
      ...(largest === undefined ? {} : { largest }),
      onReread: (count) => {
        mustGoOn(signal);
        bytes += count;
        onProgress?.({ stage: "resuming", file: "", bytes, totalBytes: resumed?.bytes ?? 0, tokens: 0 });
      },
    });
    return new Reading(parts, context, sink, sink.bytes === resumed?.bytes ? resumed : null);
  }

  async toTheEnd(): Promise<TakenFile[]> {
    const resumed = this.#resumed;
    for (const [i, part] of this.#parts.entries()) {
      const before = resumed?.done[i];
      if (before !== undefined) {
        this.#done.push(before);
        this.#begins += before.tokens * this.#context.width;
        this.#progress.read(part.file.name, part.file.bytes);
        continue;
      }
      if (resumed !== null && i === resumed.done.length) this.#goOn(resumed);
      else this.#writer.begin();
      this.#begins = i === resumed?.done.length ? resumed.begins : this.sink.bytes;
      const notes = await this.#write(part);
      const tokens = (this.sink.bytes - this.#begins) / this.#context.width;
      this.#done.push({ name: part.file.name, tokens, notes });
      this.#begins = this.sink.bytes;
      this.#writer.begin();
      await this.#keep();
    }
    return this.#parts.map((part, i) => ({
      name: part.file.name,
      as: asText(part, this.#context.options),
      split: part.split,
      tokens: this.#done[i]?.tokens ?? 0,
      notes: this.#done[i]?.notes ?? [],
    }));
  }

  /** In the middle of a file: tokens by their pieces, everything else by its bytes. */
  #goOn({ bytes, begins, pieces, last }: ReadingState): void {
    this.#writer.begin({ pieces, last });
    const { options } = this.#context;
    const isEncoded = options.tokenizer !== null && this.#context.width !== 1;
    const isText = this.#parts[this.#done.length]?.source !== null;
    if (!isEncoded || !isText) this.sink.skip(bytes - begins);
  }

  /** Everything of one file, in pieces; gives what was lost of it. */
  async #write({ file, kind, source }: Part): Promise<readonly string[]> {
    const { options, tokenBytes } = this.#context;
    const { signal, vocabulary } = options;
    const notes: string[] = [];
    const onBytes = (count: number): void => this.#progress.read(file.name, count);
    if (kind.as === "tokens") {
      for await (const chunk of tokensOf(file, kind.layout, { vocabulary, width: tokenBytes, onBytes })) {
        mustGoOn(signal);
        this.sink.write(chunk);
        await this.#keep();
      }
    } else if (source !== null) {
      const template = options.tokenizer?.chatTemplate ?? null;
      for await (const text of documentsOf(source, { template, note: (note) => notes.push(note), onBytes })) {
        mustGoOn(signal);
        await this.#writer.take(text);
      }
      await this.#writer.flush();
    }
    return notes;
  }

  /** Now and then: what is there is made sure of, and written down. */
  async #keep(): Promise<void> {
    const { into, journal, roomBytes, keepEveryMs = KEEP_EVERY_MS } = this.#context.options;
    if (journal === undefined || performance.now() - this.#keptAt < keepEveryMs) return;
    const { bytes } = this.sink;
    const state = {
      bytes,
      done: this.#done.map(({ name, tokens, notes }) => ({ name, tokens, notes: [...notes] })),
      begins: this.#begins,
      ...this.#writer.place,
    };
    await this.sink.sync();
    journal.write(state);
    if ((roomBytes?.() ?? roomAt(into)) === 0) throw diskFull(into);
    this.#keptAt = performance.now();
  }
}

/** Fewer bytes than these the tokens of all files never take; of text, six letters a token. */
function leastBytes(parts: readonly Part[], { tokenBytes, width }: ReadingContext): number {
  return parts.reduce((sum, { kind, file }) => {
    if (kind.as === "tokens") return sum + kind.layout.count * tokenBytes;
    const isWide = kind.as === "text" && kind.encoding.startsWith("utf-16");
    const letters = isWide ? file.bytes / 2 : file.bytes;
    // Of records an unknown part is the text.
    return kind.as === "text" ? sum + (width === 1 ? letters : (letters / 6) * width) : sum;
  }, 0);
}

function mustGoOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw interrupted();
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
    const tokens = this.#tokens();
    this.#tell?.({ stage: "reading", file, bytes: this.#bytes, totalBytes: this.#total, tokens });
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
