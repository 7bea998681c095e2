import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";

/**
 * A small JSON file that a person may read and edit. It is written whole or not at all, and one
 * that cannot be understood is never replaced. Synchronous: writes come at a person's pace, and
 * so no two of them can cross.
 */
export interface StoredJson<T> {
  /** null: there is no such file. Throws `stored-file-corrupt` or `stored-file-unreadable`. */
  read(): T | null;
  /** Throws `stored-file-not-written`; the old content is kept then. */
  write(value: T): void;
  /** Takes the file away, if there is one. Throws `stored-file-not-written`. */
  remove(): void;
}

/** `what` names the content in sentences: "the rules". */
export function storedJson<T>(path: string, schema: z.ZodType<T>, what: string): StoredJson<T> {
  return {
    read() {
      let text: string;
      try {
        text = readFileSync(path, "utf8");
      } catch (error) {
        if (errno(error) === "ENOENT") return null;
        throw new Failure(
          "stored-file-unreadable",
          `${path}, which holds ${what}, cannot be read (${errno(error)}). ` +
            "Nothing was started or changed. Make the file readable for this user and start again.",
          { cause: error },
        );
      }
      return parse(text);
    },
    write(value) {
      const temporary = `${path}.tmp`;
      try {
        writeWhole(temporary, `${JSON.stringify(value, null, 2)}\n`);
        renameSync(temporary, path);
        flushFolder(dirname(path));
      } catch (error) {
        rmQuietly(temporary);
        throw notWritten(error);
      }
    },
    remove() {
      try {
        rmSync(path, { force: true });
      } catch (error) {
        throw notWritten(error);
      }
    },
  };

  function notWritten(error: unknown): Failure {
    return new Failure(
      "stored-file-not-written",
      `${path}, which holds ${what}, could not be written (${errno(error)}). What was stored before is ` +
        "unchanged. Check that the disk has space and that this user may write there, then try again.",
      { cause: error },
    );
  }

  function parse(text: string): T {
    let detail: string;
    try {
      const result = schema.safeParse(JSON.parse(text));
      if (result.success) return result.data;
      const issue = result.error.issues[0];
      detail =
        issue === undefined ? "not valid" : `at ${issue.path.join(".") || "the top"}: ${issue.message}`;
    } catch {
      detail = "it is not JSON";
    }
    throw new Failure(
      "stored-file-corrupt",
      `${path}, which should hold ${what}, cannot be understood (${detail}). ` +
        "Nothing was started and the file was left as it is. Correct it, or move it away to begin without it.",
    );
  }
}

function writeWhole(path: string, text: string): void {
  const file = openSync(path, "w", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes the rename itself durable. Windows cannot open a folder; its rename is flushed with the file. */
function flushFolder(path: string): void {
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function rmQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // A half-written temporary file does no harm: the next write replaces it.
  }
}

function errno(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
