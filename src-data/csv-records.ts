import { LONGEST_RECORD, troubled } from "./json-records.ts";
import type { RecordTrouble } from "./json-records.ts";

/**
 * Rows of CSV (RFC 4180: quotes doubled inside quotes, line ends allowed there) as objects by the
 * names in the first row. A row with more or fewer fields than that costs itself.
 */
export async function* csvRecords(
  text: AsyncIterable<string>,
  separator: string,
  trouble: RecordTrouble,
): AsyncGenerator<Record<string, string>> {
  let names: readonly string[] | null = null;
  let at = 0;
  for await (const row of rows(text, separator, trouble)) {
    if (row.length === 1 && row[0] === "") continue;
    if (names === null) {
      names = row.map((name) => name.trim());
      continue;
    }
    at += 1;
    if (row.length !== names.length)
      troubled(trouble, at, `has ${row.length} fields, and the first row ${names.length}`);
    else yield Object.fromEntries(names.map((name, i) => [name, row[i] ?? ""]));
  }
}

async function* rows(
  text: AsyncIterable<string>,
  separator: string,
  trouble: RecordTrouble,
): AsyncGenerator<string[]> {
  let buffer = "";
  let row: string[] = [];
  /** Where the field that is being read begins. */
  let start = 0;
  let scanned = 0;
  let isQuoted = false;
  let count = 0;
  const mark = separator.charCodeAt(0);
  const take = (end: number): void => {
    row.push(unquoted(buffer.slice(start, end)));
  };
  for await (const chunk of text) {
    buffer += chunk;
    for (; scanned < buffer.length; scanned++) {
      const code = buffer.charCodeAt(scanned);
      if (isQuoted) {
        // A doubled quote ends and begins at once.
        if (code === QUOTE) isQuoted = false;
        continue;
      }
      if (code === QUOTE) {
        // Only at a field's beginning, or right after a quote, has it a meaning.
        isQuoted = scanned === start || buffer.charCodeAt(start) === QUOTE;
      } else if (code === mark) {
        take(scanned);
        start = scanned + 1;
      } else if (code === LINE_END) {
        take(buffer.charCodeAt(scanned - 1) === RETURN && scanned > start ? scanned - 1 : scanned);
        start = scanned + 1;
        count += 1;
        yield row;
        row = [];
      }
    }
    buffer = buffer.slice(start);
    scanned -= start;
    start = 0;
    if (buffer.length > LONGEST_RECORD) {
      troubled(
        trouble,
        count + 1,
        `longer than ${LONGEST_RECORD} letters, so it and what follows was left out`,
      );
      return;
    }
  }
  if (isQuoted) troubled(trouble, count, "ends within quotes");
  else if (buffer !== "" || row.length > 0) {
    take(buffer.length);
    yield row;
  }
}

function unquoted(field: string): string {
  if (field.length < 2 || !field.startsWith('"') || !field.endsWith('"')) return field;
  return field.slice(1, -1).replaceAll('""', '"');
}

const QUOTE = 34;
const LINE_END = 10;
const RETURN = 13;
