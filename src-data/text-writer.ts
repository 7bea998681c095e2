import { availableParallelism } from "node:os";
import type { DataSink } from "./data-sink.ts";
import { END } from "./documents.ts";
import { TextParts } from "./text-parts.ts";
import type { TextPart, TextTokenizer } from "./tokenizer.ts";

/** Between documents where there is no token for it. */
const EMPTY_LINE = "\n\n";
/** Characters that are encoded at once: enough for every core, and no more than memory bears. */
const BATCH = Math.min(16, Math.max(4, 2 * availableParallelism())) * 65_536;
/** Many short documents cost more than their letters. */
const MOST_PARTS = 4096;

/** Documents into a run's data: as tokens, or each byte a token. */
export class TextWriter {
  readonly #sink: DataSink;
  readonly #tokenizer: TextTokenizer | null;
  readonly #width: 2 | 4;
  readonly #parts = new TextParts();
  #batch: TextPart[] = [];
  /** Which parts of the batch end a document. */
  #ends = new Set<number>();
  #characters = 0;
  #isInDocument = false;
  #last = -1;
  /** What is encoded while more is read. */
  #pending: Promise<void> = Promise.resolve();
  #emptyLine: readonly number[] | null = null;

  constructor(sink: DataSink, tokenizer: TextTokenizer | null, width: 2 | 4) {
    this.#sink = sink;
    this.#tokenizer = tokenizer;
    this.#width = width;
  }

  async take(text: string | typeof END): Promise<void> {
    if (text === "" || (text === END && !this.#isInDocument)) return;
    this.#isInDocument = text !== END;
    if (this.#tokenizer === null) this.#sink.write(Buffer.from(text === END ? EMPTY_LINE : text));
    else if (text === END) {
      for (const part of this.#parts.end()) this.#add(part);
      this.#ends.add(this.#batch.length);
    } else for (const part of this.#parts.add(text)) this.#add(part);
    if (this.#characters >= BATCH || this.#batch.length >= MOST_PARTS) await this.#encode();
  }

  async flush(): Promise<void> {
    await this.#encode();
    await this.#pending;
  }

  #add(part: TextPart): void {
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
  }

  #put(ids: readonly number[]): void {
    if (ids.length === 0) return;
    this.#last = ids.at(-1) ?? -1;
    const numbers = this.#width === 2 ? Uint16Array.from(ids) : Uint32Array.from(ids);
    this.#sink.write(new Uint8Array(numbers.buffer));
  }
}
