/** Longer ones are no documents, and do not fit a string. */
export const LONGEST_RECORD = 128 * 1024 * 1024;

/** Records that cost only themselves. */
export interface RecordTrouble {
  count: number;
  /** The first of them, from 1. */
  first: number | null;
  why: string;
}

export function noTrouble(): RecordTrouble {
  return { count: 0, first: null, why: "" };
}

export function troubled(trouble: RecordTrouble, at: number, why: string): void {
  trouble.count += 1;
  trouble.first ??= at;
  if (trouble.why === "") trouble.why = why;
}

/** JSON lines: each line is a value; one that is no JSON costs its line. */
export async function* jsonLines(
  text: AsyncIterable<string>,
  trouble: RecordTrouble,
): AsyncGenerator<unknown> {
  let rest = "";
  let at = 0;
  let isSkipping = false;
  for await (const chunk of text) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      at += 1;
      if (isSkipping) isSkipping = false;
      else yield* parsed(line, at, trouble, "no JSON");
    }
    if (rest.length > LONGEST_RECORD) {
      troubled(trouble, at + 1, `longer than ${LONGEST_RECORD} letters`);
      isSkipping = true;
      rest = "";
    }
  }
  if (!isSkipping) yield* parsed(rest, at + 1, trouble, "no JSON");
}

/**
 * JSON in any form: the elements of one list, values one after another, or one object, whose first
 * list of records counts. It is read as it comes, an element at a time.
 */
export async function* jsonValues(
  text: AsyncIterable<string>,
  trouble: RecordTrouble,
): AsyncGenerator<unknown> {
  let at = 0;
  let alone: unknown;
  for await (const { piece, inList } of elements(text, trouble)) {
    at += 1;
    for (const value of parsed(piece, at, trouble, "no JSON")) {
      if (inList) yield value;
      else if (at === 1) alone = value;
      else {
        if (at === 2 && alone !== undefined) yield alone;
        alone = undefined;
        yield value;
      }
    }
  }
  if (alone !== undefined) yield* listIn(alone);
}

/** `{"data": [{…}, …]}` */
function listIn(value: unknown): readonly unknown[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [value];
  const list = Object.values(value).find(
    (each) =>
      Array.isArray(each) &&
      each.length > 0 &&
      typeof each[0] === "object" &&
      each[0] !== null &&
      !("role" in each[0]) &&
      !("from" in each[0]),
  );
  return Array.isArray(list) ? list : [value];
}

function* parsed(piece: string, at: number, trouble: RecordTrouble, why: string): Generator<unknown> {
  if (piece.trim() === "") return;
  let value: unknown;
  try {
    value = JSON.parse(piece);
  } catch {
    troubled(trouble, at, why);
    return;
  }
  yield value;
}

/** Where values begin and end, by counting brackets outside of strings. */
async function* elements(
  text: AsyncIterable<string>,
  trouble: RecordTrouble,
): AsyncGenerator<{ piece: string; inList: boolean }> {
  let buffer = "";
  let inList: boolean | null = null;
  let depth = 0;
  let inString = false;
  let isEscaped = false;
  let scanned = 0;
  let start = 0;
  let count = 0;
  for await (const chunk of text) {
    buffer += chunk;
    for (; scanned < buffer.length; scanned++) {
      const code = buffer.charCodeAt(scanned);
      if (inString) {
        if (isEscaped) isEscaped = false;
        else if (code === BACKSLASH) isEscaped = true;
        else if (code === QUOTE) inString = false;
        continue;
      }
      if (code === QUOTE) inString = true;
      else if (code === OPEN_LIST && inList === null) {
        inList = true;
        start = scanned + 1;
        continue;
      } else if (code === OPEN_LIST || code === OPEN_OBJECT) {
        inList ??= false;
        depth += 1;
      } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) {
        depth -= 1;
        if (depth < 0) {
          // The list's own end.
          count += 1;
          yield { piece: buffer.slice(start, scanned), inList: true };
          return;
        }
      }
      if (depth > 0) continue;
      const isEnd = inList === true ? code === COMMA : code === CLOSE_OBJECT || code === LINE_END;
      if (!isEnd) continue;
      const piece = buffer.slice(start, inList === true ? scanned : scanned + 1);
      start = scanned + 1;
      if (piece.trim() === "") continue;
      count += 1;
      yield { piece, inList: inList === true };
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
  if (inList === true || inString || depth > 0) troubled(trouble, count + 1, "cut off in its middle");
  else if (buffer.trim() !== "") yield { piece: buffer, inList: false };
}

const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const COMMA = 44;
const LINE_END = 10;
