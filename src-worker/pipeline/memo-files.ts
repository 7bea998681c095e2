import { randomInt } from "node:crypto";
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { sha256Hex } from "../../src-protocol/keys.ts";
import type { Activations } from "../compute/compute-call.ts";
import { writeHeaderLast } from "../disk/header-last.ts";
import type { FileHead } from "../disk/header-last.ts";
import type { KeptSteps, SumsToKeep } from "./remembered-jobs.ts";
import type { StepPart, Worked } from "./step-memo.ts";

const HEADER_BYTES = 1024;
/** Of the place's free memory that a step may take. */
const SPARED = 0.25;

const count = z.int().nonnegative();
const header = z.strictObject({
  /** Which slice of which run. */
  key: z.string(),
  step: count,
  /** A step that goes another way than before has another one: sums and micro-batches belong together by it. */
  way: count,
  /** Of a micro-batch its number, of sums how many are in them. */
  at: count,
  /** Of the chain at the step, of sums. */
  link: z.string().nullable(),
  x: sha256Hex.nullable(),
  dy: sha256Hex.nullable(),
  loss: z.number().nullable(),
  /** In values; null: there is none. */
  sizes: z.array(count.nullable()).max(2),
});
type Header = z.infer<typeof header>;

const MOST_WAYS = 2 ** 47;

/**
 * What a stage has done of the step under way, in a file system that lies in memory: when its process is killed, the
 * next one goes on with the micro-batch after the last whose sums were written. One file for each micro-batch of two
 * steps, which is written over, and the sums of gradients in two files by turns, so that one of them is always whole.
 * A micro-batch that no written sums have is not written either.
 */
export class MemoFiles implements KeptSteps {
  readonly #folder: string;
  readonly #key: string;
  /** After a failure nothing more is written; what cannot be kept is computed again. */
  #isFull = false;
  #hadRoomAt = -1;
  /** Of the two files of a step's sums, by the step's turn, the one that was written last. */
  readonly #newest = [0, 0];
  /** The step of those sums, by its turn; null: not known. */
  readonly #stepOf: (number | null)[] = [null, null];
  readonly #ways = [0, 0];
  /** Micro-batches that are there, by the step's turn. */
  readonly #worked = [0, 0];

  /** @param key which slice of which run */
  constructor(folder: string, key: string) {
    this.#folder = folder;
    this.#key = key;
  }

  /** Steps of which all is there, the oldest first. */
  async read(): Promise<StepPart[]> {
    const parts: StepPart[] = [];
    for (const turn of [0, 1]) {
      const sums = await Promise.all(
        [0, 1].map(async (each) => ({ each, found: await this.#read(`sums-${turn}-${each}`) })),
      );
      for (const { each, found } of sums.sort(newestFirst)) {
        const part = found === null ? null : await this.#part(found.header, found.arrays[0] ?? null);
        if (part === null) continue;
        this.#newest[turn] = each;
        this.#stepOf[turn] = part.step;
        this.#ways[turn] = found?.header.way ?? 0;
        this.#worked[turn] = part.worked.length;
        parts.push(part);
        break;
      }
    }
    return parts.sort((a, b) => a.step - b.step);
  }

  makeRoom({ step, count: at, size, crossingBytes }: SumsToKeep): boolean {
    if (this.#isFull) return false;
    try {
      if (at === 1) this.#beginAnew(step);
      if (this.#hadRoomAt !== step) this.#mustHaveRoom(size * Float32Array.BYTES_PER_ELEMENT + crossingBytes);
      this.#hadRoomAt = step;
      return true;
    } catch {
      this.failed();
      return false;
    }
  }

  sumsFile({ step, link, count, size }: SumsToKeep): FileHead {
    const head = { ...this.#bare(step), at: count, link, sizes: [size] };
    const turn = step % 2;
    const each = 1 - (this.#newest[turn] ?? 0);
    this.#newest[turn] = each;
    this.#stepOf[turn] = step;
    return { path: join(this.#folder, `sums-${turn}-${each}`), header: block(head) };
  }

  write({ step, worked }: StepPart): void {
    if (this.#isFull) return;
    const turn = step % 2;
    try {
      for (let at = this.#worked[turn] ?? 0; at < worked.length; at++)
        this.#writeOne(step, at, worked[at] as Worked);
      this.#worked[turn] = worked.length;
    } catch {
      this.failed();
    }
  }

  #writeOne(step: number, at: number, { x, dy, loss, y, dx }: Worked): void {
    const arrays = [y, dx];
    // A loss that is no number ends the step, and has no place in JSON.
    const head = { ...this.#bare(step), at, x, dy, loss, sizes: arrays.map((each) => each?.length ?? null) };
    const payload = arrays.flatMap((each) => (each === null ? [] : [bytesOf(each)]));
    writeHeaderLast({ path: join(this.#folder, `worked-${step % 2}-${at}`), header: block(head) }, payload);
  }

  failed(): void {
    this.#isFull = true;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #beginAnew(step: number): void {
    const turn = step % 2;
    this.#ways[turn] = randomInt(MOST_WAYS);
    this.#worked[turn] = 0;
    const before = this.#stepOf[turn] ?? null;
    if (before !== null && before !== step) return;
    for (const each of [0, 1]) rmSync(join(this.#folder, `sums-${turn}-${each}`), { force: true });
  }

  #bare(step: number): Omit<Header, "at" | "sizes"> {
    const way = this.#ways[step % 2] ?? 0;
    return { key: this.#key, step, way, link: null, x: null, dy: null, loss: null };
  }

  #mustHaveRoom(once: number): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = statfsSync(this.#folder);
    if (4 * once > SPARED * bavail * bsize) throw new Error("there is no room for it");
  }

  async #part(of: Header, sums: Activations | null): Promise<StepPart | null> {
    if (sums === null) return null;
    const worked: Worked[] = [];
    for (let at = 0; at < of.at; at++) {
      const found = await this.#read(`worked-${of.step % 2}-${at}`);
      if (found === null || found.header.step !== of.step || found.header.at !== at) return null;
      if (found.header.way !== of.way) return null;
      const { x, dy, loss } = found.header;
      const [y = null, dx = null] = found.arrays;
      worked.push({ x, dy, loss, y, dx });
    }
    return { step: of.step, link: of.link, worked, sums };
  }

  /** Null: it is not there, not whole, or of something else. */
  async #read(name: string): Promise<Read | null> {
    try {
      const bytes = await readFile(join(this.#folder, name));
      const text = bytes.subarray(0, HEADER_BYTES).toString("utf8").replace(/\0+$/, "");
      const found = header.parse(JSON.parse(text));
      if (found.key !== this.#key) return null;
      let offset = HEADER_BYTES;
      const arrays = found.sizes.map((size) => {
        if (size === null) return null;
        const from = offset;
        offset += size * Float32Array.BYTES_PER_ELEMENT;
        if (offset > bytes.byteLength) throw new RangeError("the file is too short");
        return new Float32Array(bytes.buffer.slice(bytes.byteOffset + from, bytes.byteOffset + offset));
      });
      return { header: found, arrays };
    } catch {
      return null;
    }
  }
}

interface Read {
  readonly header: Header;
  readonly arrays: (Activations | null)[];
}

/** What is not there comes last. */
function newestFirst({ found: a }: { found: Read | null }, { found: b }: { found: Read | null }): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return b.header.step - a.header.step || b.header.at - a.header.at;
}

function block(head: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const text = JSON.stringify(head);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  if (read !== text.length) throw new RangeError("the header is too long");
  return bytes;
}

function bytesOf({ buffer, byteOffset, byteLength }: Activations): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
