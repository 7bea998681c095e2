import { isUtf8 } from "node:buffer";

/** How letters are stored. windows-1252 is Latin-1 with the letters that Windows put in its gaps. */
export type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

export type Guess = { readonly encoding: Encoding } | { readonly encoding: null; readonly why: string };

/** Of binary files more bytes than these are no letters; a damaged text has fewer. */
const MOST_CONTROL_SHARE = 0.01;
/** Western languages have fewer letters with marks than these; Cyrillic or Chinese in old encodings have more. */
const MOST_HIGH_SHARE = 0.25;
/** A file with more broken places than this was never UTF-8. */
const MOST_BROKEN_SHARE = 0.02;

/** Which encoding a text's bytes are in, from its beginning or several pieces of it; or why they are no text. */
export function guessEncoding(head: Uint8Array): Guess {
  if (head.length === 0) return { encoding: null, why: "empty" };
  const [a, b, c, d] = head;
  if (a === 0xff && b === 0xfe && c === 0 && d === 0) return { encoding: null, why: UTF_32 };
  if (a === 0 && b === 0 && c === 0xfe && d === 0xff) return { encoding: null, why: UTF_32 };
  if (a === 0xff && b === 0xfe) return { encoding: "utf-16le" };
  if (a === 0xfe && b === 0xff) return { encoding: "utf-16be" };
  const { control, nulAtEven, nulAtOdd, high } = countBytes(head);
  const pairs = Math.floor(head.length / 2);
  // Letters of UTF-16 below 256 have one byte of zero, always on the same side; spaces and line ends are such.
  if (pairs >= 4 && nulAtOdd > pairs * 0.1 && nulAtEven < nulAtOdd * 0.02 && isSaneUtf16(head, "utf-16le"))
    return { encoding: "utf-16le" };
  if (pairs >= 4 && nulAtEven > pairs * 0.1 && nulAtOdd < nulAtEven * 0.02 && isSaneUtf16(head, "utf-16be"))
    return { encoding: "utf-16be" };
  if (control + nulAtEven + nulAtOdd > 1 + head.length * MOST_CONTROL_SHARE)
    return { encoding: null, why: "binary, of a kind that is not known here" };
  const { letters, broken } = countUtf8(head);
  if (broken === 0) return { encoding: "utf-8" };
  if (letters >= broken && broken <= 1 + head.length * MOST_BROKEN_SHARE) return { encoding: "utf-8" };
  if (high <= head.length * MOST_HIGH_SHARE) return { encoding: "windows-1252" };
  return {
    encoding: null,
    why: "text in an encoding that is not known here; store it as UTF-8 (for example with iconv)",
  };
}

const UTF_32 = "text in UTF-32; store it as UTF-8";

function countBytes(head: Uint8Array): {
  control: number;
  nulAtEven: number;
  nulAtOdd: number;
  high: number;
} {
  const counts = { control: 0, nulAtEven: 0, nulAtOdd: 0, high: 0 };
  for (const [i, byte] of head.entries()) {
    if (byte === 0) counts[i % 2 === 0 ? "nulAtEven" : "nulAtOdd"] += 1;
    else if (byte >= 0x80) counts.high += 1;
    // Tab, line ends, form feed and escape are in texts.
    else if (byte < 0x20 && (byte < 9 || byte > 13) && byte !== 0x1b) counts.control += 1;
  }
  return counts;
}

function isSaneUtf16(head: Uint8Array, encoding: "utf-16le" | "utf-16be"): boolean {
  const text = new TextDecoder(encoding).decode(head.subarray(0, head.length & ~1));
  let bad = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0xfffd || unit === 0 || (unit < 32 && (unit < 9 || unit > 13))) bad += 1;
  }
  return bad <= text.length * MOST_CONTROL_SHARE;
}

/** Letters of several bytes that are whole, and bytes that belong to none. */
function countUtf8(head: Uint8Array): { letters: number; broken: number } {
  let letters = 0;
  let broken = 0;
  for (let i = 0; i < head.length;) {
    const length = utf8Length(head, i);
    if (length === 0 && i >= head.length - 3 && needed(head[i] ?? 0) > head.length - i) break;
    if (length === 0) broken += 1;
    if (length > 1) letters += 1;
    i += Math.max(1, length);
  }
  return { letters, broken };
}

/** How many bytes a letter has that begins so. */
function needed(first: number): number {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 1;
}

function utf8Length(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = needed(first);
  if (length === 1 || at + length > bytes.length) return 0;
  return isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

/**
 * Bytes into text, as they come. A byte that belongs to no letter becomes U+FFFD and a zero byte
 * nothing: they cost their place, and are counted.
 */
export class TextReader {
  badPlaces = 0;
  readonly #encoding: Encoding;
  readonly #decoder: TextDecoder;
  #rest: Buffer = Buffer.alloc(0);
  #isFirst = true;

  constructor(encoding: Encoding) {
    this.#encoding = encoding;
    this.#decoder = new TextDecoder(encoding);
  }

  read(chunk: Buffer): string {
    if (this.#encoding !== "utf-8")
      return this.#clean(this.#counted(this.#decoder.decode(chunk, { stream: true }), 0));
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = wholeLetters(bytes);
    this.#rest = Buffer.from(bytes.subarray(end));
    return this.#utf8(bytes.subarray(0, end));
  }

  end(): string {
    if (this.#encoding !== "utf-8") return this.#clean(this.#counted(this.#decoder.decode(), 0));
    return this.#utf8(this.#rest);
  }

  #utf8(bytes: Buffer): string {
    if (isUtf8(bytes)) return this.#clean(bytes.toString("utf8"));
    let own = 0;
    for (let at = bytes.indexOf(REPLACEMENT); at >= 0; at = bytes.indexOf(REPLACEMENT, at + 3)) own += 1;
    return this.#clean(this.#counted(bytes.toString("utf8"), own));
  }

  /** `own`: replacement characters that the text itself has. */
  #counted(text: string, own: number): string {
    if (this.#encoding === "windows-1252") return text;
    let count = -own;
    for (let at = text.indexOf("\uFFFD"); at >= 0; at = text.indexOf("\uFFFD", at + 1)) count += 1;
    this.badPlaces += Math.max(0, count);
    return text;
  }

  #clean(text: string): string {
    let clean = text;
    if (this.#isFirst && clean !== "") {
      this.#isFirst = false;
      if (clean.startsWith("\uFEFF")) clean = clean.slice(1);
    }
    if (!clean.includes("\0")) return clean;
    const without = clean.replaceAll("\0", "");
    this.badPlaces += clean.length - without.length;
    return without;
  }
}

const REPLACEMENT = Buffer.from("\uFFFD");

/** Up to where no letter is cut in two. */
function wholeLetters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) return needed(byte) > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
