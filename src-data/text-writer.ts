import { availableParallelism } from "node:os";
import { END } from "./documents.ts";
import type { DataSink } from "./prepared/data-sink.ts";
import { TextParts } from "./text-parts.ts";
import type { TextPart, TextTokenizer } from "./tokenizer.ts";

/** Between documents where there is no token for it. */
const EMPTY_LINE = "\n\n";
/** Characters that are encoded at once: enough for every core, and no more than memory bears. */
const BATCH = Math.min(16, Math.max(4, 2 * availableParallelism())) * 65_536;
/** Many short documents cost more than their letters. */
const MOST_PARTS = 4096;

/** Where a reading goes on: see `ReadingState`. */
export interface WriterPlace {
  readonly pieces: number;
  readonly last: number;
}

/**
 * Documents into a run's data: as tokens, or each byte a token. A piece is a part of a document, or
 * its end; how a file is cut into pieces depends on the file alone.
 */
export class TextWriter {
  readonly #sink: DataSink;
  readonly #tokenizer: TextTokenizer | null;
  readonly #width: 2 | 4;
  readonly #onWritten: () => Promise<void>;
  readonly #parts = new TextParts();
  #batch: TextPart[] = [];
  /** Which parts of the batch end a document. */
  #ends = new Set<number>();
  #characters = 0;
  #isInDocument = false;
  #last = -1;
  /** Pieces of the file that are written, and those that were before this reading. */
  #written = 0;
  #skip = 0;
  /** What is encoded while more is read. */
  #pending: Promise<void> = Promise.resolve();
  #emptyLine: readonly number[] | null = null;

  /** `onWritten` is called whenever `place` has moved, and awaited. */
  constructor(
    sink: DataSink,
    tokenizer: TextTokenizer | null,
    width: 2 | 4,
    onWritten: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#sink = sink;
    this.#tokenizer = tokenizer;
    this.#width = width;
    this.#onWritten = onWritten;
  }

  /** What is in the sink. */
  get place(): WriterPlace {
    return { pieces: this.#written, last: this.#last };
  }

  /** A file begins, from its first piece or, where an earlier reading ended, from another. */
  begin({ pieces, last }: WriterPlace = { pieces: 0, last: this.#last }): void {
    this.#written = pieces;
    this.#skip = pieces;
    this.#last = last;
  }

  async take(text: string | typeof END): Promise<void> {
    if (text === "" || (text === END && !this.#isInDocument)) return;
    this.#isInDocument = text !== END;
    if (this.#tokenizer === null) {
      this.#sink.write(Buffer.from(text === END ? EMPTY_LINE : text));
      await this.#onWritten();
    } else if (text === END) {
      for (const part of this.#parts.end()) this.#add(part);
      if (this.#skip > 0) this.#skip -= 1;
      else this.#ends.add(this.#batch.length);
    } else for (const part of this.#parts.add(text)) this.#add(part);
    if (this.#characters >= BATCH || this.#batch.length >= MOST_PARTS) await this.#encode();
  }

  async flush(): Promise<void> {
    await this.#encode();
    await this.#pending;
  }

  #add(part: TextPart): void {
    if (this.#skip > 0) {
      this.#skip -= 1;
      return;
    }
    this.#batch.push(part);
    this.#characters += part.text.length;
  }

  /** Waits for the batch before, and begins this one. */
  async #encode(): Promise<void> {
    const [batch, ends] = [this.#batch, this.#ends];
    this.#batch = [];
    this.#ends = new Set();
    this.#characters = 0;
    await this.#pending;
    if (this.#tokenizer === null || (batch.length === 0 && ends.size === 0)) return;
    this.#pending = this.#write(this.#tokenizer, batch, ends);
    // Whoever waits next hears of it.
    this.#pending.catch(() => {});
  }

  async #write(
    tokenizer: TextTokenizer,
    batch: readonly TextPart[],
    ends: ReadonlySet<number>,
  ): Promise<void> {
    const encoded = batch.length === 0 ? [] : await tokenizer.encode(batch);
    const end = tokenizer.endOfText;
    this.#emptyLine ??=
      end === null ? ((await tokenizer.encode([{ text: EMPTY_LINE, continues: false }]))[0] ?? []) : [end.id];
    for (let i = 0; i <= encoded.length; i++) {
      // A text that has its own end-of-text token at its end has one, not two.
      if (ends.has(i) && (end === null || this.#last !== end.id)) this.#put(this.#emptyLine);
      const ids = encoded[i];
      if (ids !== undefined) this.#put(ids);
    }
    this.#written += batch.length + ends.size;
    await this.#onWritten();
  }

  #put(ids: readonly number[]): void {
    if (ids.length === 0) return;
    this.#last = ids.at(-1) ?? -1;
    const numbers = this.#width === 2 ? Uint16Array.from(ids) : Uint32Array.from(ids);
    this.#sink.write(new Uint8Array(numbers.buffer));
  }
}
