import { mkdirSync, rmSync, statSync, statfsSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import type { Activations } from "../compute/compute-call.ts";
import { bytesOf, headerBlock, headerIn, writeHeaderLastInPieces } from "../disk/header-last.ts";

const HEADER_BYTES = 1024;
const count = z.int().nonnegative();
const header = z.strictObject({
  /** Which slice of which run. */
  key: z.string(),
  generation: count,
  step: count,
  /** In which it was added up: another one may have added in another order. */
  round: count,
  /** Values. */
  length: count,
});
type Header = z.infer<typeof header>;

/** Which sum it is. */
export type SumName = Omit<Header, "length">;

/** A stage's whole gradient sum, read again. */
export interface RestoredSum {
  readonly round: number;
  readonly values: Activations;
}

/**
 * The whole gradient sum of the step that is about to be taken, in a file system that lies in memory: whoever is
 * killed when the others take the step takes it too, and nothing of it is done again. One file, which is written over
 * with each step.
 */
export class KeptSum {
  readonly #path: string;
  /** It was written: there is a place for it. */
  #hasPlace = false;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** Of the place that it has. */
  get bytes(): number {
    return statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** `parts`: of the sum, in order; they must not change meanwhile. Where there is no room it is not kept. */
  keep(name: SumName, parts: readonly Activations[]): Promise<void> {
    this.#last = this.#last.then(() => this.#keep(name, parts));
    return this.#last;
  }

  async #keep(name: SumName, parts: readonly Activations[]): Promise<void> {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    try {
      // Another slice's may be longer.
      if (!this.#hasPlace) this.#remove();
      if (!this.#hasRoom(length * Float32Array.BYTES_PER_ELEMENT)) return;
      const file = { path: this.#path, header: headerBlock({ ...name, length }, HEADER_BYTES) };
      await writeHeaderLastInPieces(file, parts.map(bytesOf));
      this.#hasPlace = true;
    } catch {
      // What could not be kept is done again by all.
      this.#remove();
    }
  }

  /** `length`: values of the stage's sum. Null: there is none of this step, or it is not whole. */
  async read({ key, generation, step }: Omit<SumName, "round">, length: number): Promise<RestoredSum | null> {
    await this.#last;
    const file = await open(this.#path).catch(() => null);
    if (file === null) return null;
    try {
      const head = new Uint8Array(HEADER_BYTES);
      await file.read(head, 0, HEADER_BYTES, 0);
      const found = header.parse(headerIn(head));
      const isIt = found.key === key && found.generation === generation && found.step === step;
      if (!isIt || found.length !== length) return null;
      const values = new Float32Array(length);
      const { bytesRead } = await file.read(bytesOf(values), 0, values.byteLength, HEADER_BYTES);
      return bytesRead === values.byteLength ? { round: found.round, values } : null;
    } catch {
      return null;
    } finally {
      await file.close();
    }
  }

  /** Nobody asks for it any more. */
  async forget(): Promise<void> {
    await this.#last;
    this.#remove();
  }

  #remove(): void {
    this.#hasPlace = false;
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // Its place may have gone with all that was there.
    }
  }

  /** Whoever has put the states beside it on the disk has removed it with them. */
  #hasRoom(needed: number): boolean {
    if (this.#hasPlace && statSync(this.#path, { throwIfNoEntry: false }) !== undefined) return true;
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    return needed <= bavail * bsize;
  }
}
