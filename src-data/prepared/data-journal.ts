import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { writeFailure } from "./data-room.ts";

const count = z.int().nonnegative();

/** How far a reading has come: all that is needed to go on from there. */
export const readingState = z.strictObject({
  /** Bytes of the token file that are on the disk and count. */
  bytes: count,
  /** Files that are done, in their order. */
  done: z.array(z.strictObject({ name: z.string(), tokens: count, notes: z.array(z.string()) })),
  /** In the file after those: where its tokens begin, and how many of its pieces (text-writer.ts) are written. */
  begins: count,
  pieces: count,
  /** The last token of all, -1 where there is none. */
  last: z.int(),
});
export type ReadingState = z.infer<typeof readingState>;

/**
 * Beside a token file that is being written. It is replaced after the tokens that it speaks of are on
 * the disk, so it never says too much, whenever the power goes.
 */
export class DataJournal {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** null: there is none, or a damaged one, and everything is read from the beginning. */
  read(): ReadingState | null {
    try {
      return readingState.parse(JSON.parse(readFileSync(this.#path, "utf8")));
    } catch {
      return null;
    }
  }

  write(state: ReadingState): void {
    const temporary = `${this.#path}.new`;
    try {
      writeFileSync(temporary, JSON.stringify(state), { mode: 0o600, flush: true });
      renameSync(temporary, this.#path);
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}
