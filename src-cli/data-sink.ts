import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { Failure } from "../src-protocol/failure.ts";

/** The one file that everything goes into. Its digest is made as it is written, but for what is taken back. */
export class DataSink {
  readonly #descriptor: number;
  readonly #largest: number;
  #hash = createHash("sha256");
  /** Before the file that is being taken. */
  #hashAtMark = this.#hash.copy();
  #bytes = 0;

  constructor(path: string, largest: number) {
    this.#descriptor = openSync(path, "w", 0o600);
    this.#largest = largest;
  }

  get bytes(): number {
    return this.#bytes;
  }

  write(chunk: Buffer): void {
    if (this.#bytes + chunk.length > this.#largest)
      throw new Failure(
        "data-too-large",
        `There is more than ${Math.round(this.#largest / 1024 ** 2)} MiB of data, more than one run can take. Choose a smaller folder with --data.`,
      );
    for (let done = 0; done < chunk.length;)
      done += writeSync(this.#descriptor, chunk, done, chunk.length - done, this.#bytes + done);
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  mark(): number {
    this.#hashAtMark = this.#hash.copy();
    return this.#bytes;
  }

  /** To the last mark: what was written since is overwritten by what comes next. */
  backTo(bytes: number): void {
    this.#hash = this.#hashAtMark.copy();
    this.#bytes = bytes;
  }

  /** What was taken back at the end is cut off. */
  finish(): string {
    ftruncateSync(this.#descriptor, this.#bytes);
    return this.#hash.digest("hex");
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
