import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { Failure } from "../src-protocol/failure.ts";

/** The one file that everything goes into. Its digest is made as it is written. */
export class DataSink {
  readonly #descriptor: number;
  readonly #largest: number;
  readonly #hash = createHash("sha256");
  #bytes = 0;

  constructor(path: string, largest: number) {
    this.#descriptor = openSync(path, "w", 0o600);
    this.#largest = largest;
  }

  get bytes(): number {
    return this.#bytes;
  }

  write(chunk: Uint8Array): void {
    if (this.#bytes + chunk.length > this.#largest)
      throw new Failure(
        "data-too-large",
        `There is more than ${Math.round(this.#largest / 1024 ** 2)} MiB of data, more than one run can take. Choose less with --data.`,
      );
    for (let done = 0; done < chunk.length;)
      done += writeSync(this.#descriptor, chunk, done, chunk.length - done, this.#bytes + done);
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  finish(): string {
    return this.#hash.digest("hex");
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
