import { bytesOf } from "./byte-stream.ts";
import { PLAIN_CHAT } from "./chat-template.ts";
import type { ChatTemplate } from "./chat-template.ts";
import { csvRecords } from "./csv-records.ts";
import { TextReader } from "./encoding.ts";
import type { FileKind } from "./file-kind.ts";
import type { FoundFile } from "./found-files.ts";
import { jsonLines, jsonValues, noTrouble, troubled } from "./json-records.ts";
import type { RecordTrouble } from "./json-records.ts";
import { openParquet } from "./parquet-records.ts";
import { columnNamed, columnOf, textOf } from "./record-text.ts";
import { Failure } from "../src-protocol/failure.ts";

/** The end of a document: what comes next is another one. */
export const END = Symbol("end of a document");

type TextKind = Exclude<FileKind, { as: "nothing" } | { as: "tokens" }>;

/** A file whose documents can be read. */
export interface Source {
  readonly file: FoundFile;
  readonly kind: TextKind;
  /** Of a file of records: which column is the text. */
  readonly column: string | null;
  readonly isChat: boolean;
}

/** So many records show which columns there are. */
const SHOWN_RECORDS = 20;

/** Which column of a file of records is taken; or why none. */
export async function sourceOf(
  file: FoundFile,
  kind: TextKind,
  wanted: string | null,
): Promise<Source | { readonly missing: string }> {
  if (kind.as === "text") return { file, kind, column: null, isChat: false };
  if (kind.as === "parquet") {
    const parquet = await openParquet(file.path);
    try {
      const found = columnNamed(parquet.columns, wanted);
      if ("missing" in found) return found;
      const isText = parquet.columns.some(({ name, isText }) => name === found.name && isText);
      return { file, kind, column: found.name, isChat: !isText };
    } finally {
      await parquet.close();
    }
  }
  const first: unknown[] = [];
  for await (const record of recordsOf(file, kind, noTrouble(), {})) {
    first.push(record);
    if (first.length === SHOWN_RECORDS) break;
  }
  const found = columnOf(first, wanted);
  return "missing" in found ? found : { file, kind, column: found.name, isChat: found.isChat };
}

interface Listener {
  onBytes?: (count: number) => void;
  onDamage?: (why: string) => void;
  onBadPlaces?: (count: number) => void;
}

/** The texts of a file's documents, each followed by `END`. `note` hears what was lost on the way. */
export async function* documentsOf(
  { file, kind, column }: Source,
  options: { template: ChatTemplate | null; note: (text: string) => void; onBytes?: (count: number) => void },
): AsyncGenerator<string | typeof END> {
  const { note } = options;
  let badPlaces = 0;
  const listener: Listener = {
    ...(options.onBytes ? { onBytes: options.onBytes } : {}),
    onDamage: note,
    onBadPlaces: (count) => (badPlaces += count),
  };
  if (kind.as === "text") {
    for await (const text of withoutReturns(textOfFile(file, kind, listener))) yield text;
    yield END;
  } else {
    const trouble = noTrouble();
    let without = 0;
    let at = 0;
    for await (const record of recordsOf(file, kind, trouble, listener, column)) {
      at += 1;
      let text: string | null = null;
      try {
        text = textOf(record, column ?? "", options.template ?? PLAIN_CHAT);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        troubled(trouble, at, error.message);
        continue;
      }
      if (text === null || text === "") without += 1;
      else {
        yield text;
        yield END;
      }
    }
    if (trouble.count > 0)
      note(
        `${trouble.count} of its records could not be taken, the first is number ${trouble.first} (${trouble.why})`,
      );
    if (without > 0) note(`${without} of its records have no text in "${column}"`);
  }
  if (badPlaces > 0)
    note(
      `${badPlaces} ${badPlaces === 1 ? "place is" : "places are"} no text: a zero byte, or bytes that are no letters (read as U+FFFD)`,
    );
}

async function* recordsOf(
  file: FoundFile,
  kind: Exclude<TextKind, { as: "text" }>,
  trouble: RecordTrouble,
  listener: Listener,
  column: string | null = null,
): AsyncGenerator<unknown> {
  if (kind.as === "parquet") {
    const parquet = await openParquet(file.path);
    let told = 0;
    try {
      yield* parquet.records(
        column ?? "",
        (why) => listener.onDamage?.(why),
        (share) => {
          listener.onBytes?.(share * file.bytes - told);
          told = share * file.bytes;
        },
      );
    } finally {
      await parquet.close();
    }
    return;
  }
  const text = textOfFile(file, kind, listener);
  if (kind.as === "csv") yield* csvRecords(text, kind.separator, trouble);
  else if (kind.as === "jsonl") yield* jsonLines(text, trouble);
  else yield* jsonValues(text, trouble);
}

async function* textOfFile(
  file: FoundFile,
  kind: Exclude<TextKind, { as: "parquet" }>,
  { onBytes, onDamage, onBadPlaces }: Listener,
): AsyncGenerator<string> {
  const reader = new TextReader(kind.encoding);
  const options = {
    packing: kind.packing,
    ...(onBytes ? { onBytes } : {}),
    ...(onDamage ? { onDamage } : {}),
  };
  for await (const chunk of bytesOf(file.path, options)) yield reader.read(chunk);
  yield reader.end();
  onBadPlaces?.(reader.badPlaces);
}

/** Line ends of Windows become those that models know. */
async function* withoutReturns(text: AsyncIterable<string>): AsyncGenerator<string> {
  let held = "";
  for await (const chunk of text) {
    const whole = held + chunk;
    held = whole.endsWith("\r") ? "\r" : "";
    yield (held === "" ? whole : whole.slice(0, -1)).replaceAll("\r\n", "\n");
  }
  yield held;
}
