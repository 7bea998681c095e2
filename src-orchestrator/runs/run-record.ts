import { appendFileSync, closeSync, openSync, readSync, renameSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { RunSpec } from "../../src-protocol/model.ts";
import { RUN_RECORD_FILE, recordHeaderLine, recordLinkLine } from "../../src-protocol/run-record.ts";

/** About 40,000 steps of three stages. Then a new file begins, and the one before it is kept. */
const FILE_LIMIT_BYTES = 12 * 1024 * 1024;
/** Of a link. */
const LONGEST_LINE_BYTES = 256;
const WRITE_AFTER_MS = 250;

/**
 * Writes the record of a run (run-record.ts) into the network's folder as its links come. A kill loses
 * the last quarter of a second of it: the links themselves are in the stages' snapshots as well.
 */
export class RunRecord {
  readonly #path: string;
  readonly #head: string;
  readonly #onTrouble: (error: unknown) => void;
  #waiting = "";
  #bytes: number;
  #timer: NodeJS.Timeout | null = null;

  private constructor(path: string, head: string, bytes: number, onTrouble: (error: unknown) => void) {
    this.#path = path;
    this.#head = head;
    this.#bytes = bytes;
    this.#onTrouble = onTrouble;
  }

  /** Goes on with the run's record in `folder`; another run's is kept beside it. */
  static open(folder: string, run: RunSpec, onTrouble: (error: unknown) => void): RunRecord {
    const path = join(folder, RUN_RECORD_FILE);
    const head = recordHeaderLine(run);
    // How long the run shall last may have changed since; its digest has not.
    const name = head.slice(0, head.indexOf(`,"run":`));
    const bytes = sizeOf(path);
    const isOurs = bytes > 0 && bytesAt(path, 0, name.length) === name;
    if (bytes > 0 && !isOurs) renameSync(path, olderPath(path));
    return new RunRecord(path, head, isOurs ? withoutTornLine(path, bytes) : 0, onTrouble);
  }

  add(step: number, stage: number, link: string): void {
    this.#waiting += recordLinkLine(step, stage, link);
    this.#timer ??= setTimeout(() => this.flush(), WRITE_AFTER_MS).unref();
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const text = this.#waiting;
    this.#waiting = "";
    if (text === "") return;
    try {
      if (this.#bytes > FILE_LIMIT_BYTES) {
        renameSync(this.#path, olderPath(this.#path));
        this.#bytes = 0;
      }
      if (this.#bytes === 0) this.#append(this.#head);
      this.#append(text);
    } catch (error) {
      this.#onTrouble(error);
    }
  }

  #append(text: string): void {
    appendFileSync(this.#path, text, { mode: 0o600 });
    this.#bytes += Buffer.byteLength(text);
  }
}

function olderPath(path: string): string {
  return path.replace(/\.jsonl$/, ".old.jsonl");
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** A kill may have cut the last line short, and must not let it run into the next. Gives the length. */
function withoutTornLine(path: string, bytes: number): number {
  const from = Math.max(0, bytes - LONGEST_LINE_BYTES);
  const whole = from + bytesAt(path, from, bytes - from).lastIndexOf("\n") + 1;
  if (whole < bytes) truncateSync(path, whole);
  return whole;
}

function bytesAt(path: string, position: number, count: number): string {
  const file = openSync(path, "r");
  try {
    const found = Buffer.alloc(count);
    return found.toString("utf8", 0, readSync(file, found, 0, count, position));
  } finally {
    closeSync(file);
  }
}
