import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { Failure } from "../src-protocol/failure.ts";

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 10;

interface OpenLog {
  readonly file: number;
  /** Whatever the file is called meanwhile. */
  readonly id: string;
  /** Read up to here. */
  at: number;
}

/**
 * A log as it grows, in whole lines. Its writer renames it to `PATH.1` when it has become too long, and
 * begins it anew: what stood in the renamed one is read to its end first.
 */
export class GrowingLog {
  readonly #path: string;
  #open: OpenLog | null = null;
  /** The beginning of a line that is not whole yet. */
  #begun = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
  }

  /** Null: there is none, and none before it. Throws `log-unreadable`. */
  begin(): string[] | null {
    this.#open = openLog(this.#path);
    const before = openLog(`${this.#path}.1`);
    if (before === null && this.#open === null) return null;
    const lines: string[] = [];
    if (before !== null) {
      // It may have been renamed a moment ago: then it is the one that is open already.
      if (before.id !== this.#open?.id) lines.push(...this.#linesOf(before), ...this.#unfinished());
      closeSync(before.file);
    }
    return [...lines, ...this.more()];
  }

  /** What has come since. */
  more(): string[] {
    const lines = this.#open === null ? [] : this.#linesOf(this.#open);
    const id = idAt(this.#path);
    if (id === null || id === this.#open?.id) return lines;
    if (this.#open !== null) {
      // Between the look and its renaming it may have grown.
      lines.push(...this.#linesOf(this.#open), ...this.#unfinished());
      closeSync(this.#open.file);
    }
    this.#open = openLog(this.#path);
    if (this.#open !== null) lines.push(...this.#linesOf(this.#open));
    return lines;
  }

  close(): void {
    if (this.#open !== null) closeSync(this.#open.file);
    this.#open = null;
  }

  #linesOf(log: OpenLog): string[] {
    const { size } = fstatSync(log.file);
    // Emptied by somebody.
    if (size < log.at) log.at = 0;
    const parts = [this.#begun];
    for (;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const bytes = readSync(log.file, chunk, 0, CHUNK_BYTES, log.at);
      if (bytes === 0) break;
      parts.push(chunk.subarray(0, bytes));
      log.at += bytes;
    }
    const all = Buffer.concat(parts);
    const end = all.lastIndexOf(NEWLINE) + 1;
    this.#begun = all.subarray(end);
    return all
      .subarray(0, end)
      .toString("utf8")
      .split("\n")
      .filter((line) => line !== "");
  }

  /** A line that its writer could not finish, as on a full disk. */
  #unfinished(): string[] {
    const text = this.#begun.toString("utf8");
    this.#begun = Buffer.alloc(0);
    return text === "" ? [] : [text];
  }
}

function openLog(path: string): OpenLog | null {
  try {
    const file = openSync(path, "r");
    const { dev, ino } = fstatSync(file, { bigint: true });
    return { file, id: `${dev} ${ino}`, at: 0 };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    if (code === "ENOENT") return null;
    throw new Failure(
      "log-unreadable",
      `The log ${path} cannot be read (${code}): look at who may read it.`,
      { cause: error },
    );
  }
}

/** Null: there is none, as for a moment while it is begun anew. */
function idAt(path: string): string | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? null : `${found.dev} ${found.ino}`;
}
