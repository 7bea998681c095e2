import { randomInt } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { sha256Hex } from "../../src-protocol/keys.ts";
import type { Activations } from "../compute/compute-call.ts";
import { bytesOf, headerBlock, headerIn, writeHeaderLast } from "../disk/header-last.ts";
import type { KeptSteps, SumsPlace, SumsToKeep } from "./kept-steps.ts";
import type { StepPart, Worked } from "./step-memo.ts";

const HEADER_BYTES = 1024;
/** Of the place's free memory that a step may take. */
const SPARED = 0.25;
/** The one under way and the one before. */
const STEPS = 2;

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

/** A step in a file name: of two that follow each other, each has its own. */
type Turn = 0 | 1;
const TURNS: readonly Turn[] = [0, 1];

const turnOf = (step: number): Turn => (step % 2 === 0 ? 0 : 1);

/** What lies in the files of one turn. */
interface Written {
  /** "unknown": a process before may have left something. */
  readonly step: number | "nothing" | "unknown";
  readonly way: number;
  /** Micro-batches. */
  readonly worked: number;
  /** Of the two files of sums, the one that is not written over next. */
  readonly newest: Turn;
}

const UNKNOWN: Written = { step: "unknown", way: 0, worked: 0, newest: 0 };

/**
 * What a stage has done of the step under way, in a file system that lies in memory: when its process is killed, the
 * next one goes on with the micro-batch after the last whose sums were written. One file for each micro-batch of two
 * steps, which is written over, and the sums of gradients in two files by turns, so that one of them is always whole.
 * A micro-batch that no written sums have is not written either.
 */
export class MemoFiles implements KeptSteps {
  readonly #folder: string;
  readonly #key: string;
  /** A step that could not be written: nothing more of it is. What cannot be kept is computed again. */
  #failedAt = -1;
  #hadRoomAt = -1;
  readonly #written: [Written, Written] = [UNKNOWN, UNKNOWN];

  /** @param key which slice of which run */
  constructor(folder: string, key: string) {
    this.#folder = folder;
    this.#key = key;
  }

  /** Steps of which all is there, the oldest first. */
  async read(): Promise<StepPart[]> {
    const parts: StepPart[] = [];
    for (const turn of TURNS) {
      const sums = await Promise.all(
        TURNS.map(async (each) => ({ each, found: await this.#read(`sums-${turn}-${each}`) })),
      );
      for (const { each, found } of sums.sort(newestFirst)) {
        const part = found === null ? null : await this.#part(found.header, found.arrays[0] ?? null);
        if (found === null || part === null) continue;
        const { step, worked } = part;
        this.#written[turn] = { step, way: found.header.way, worked: worked.length, newest: each };
        parts.push(part);
        break;
      }
    }
    return parts.sort((a, b) => a.step - b.step);
  }

  place(sums: SumsToKeep): SumsPlace | null {
    if (this.#failedAt === sums.step) return null;
    const { step, link, count: at, size } = sums;
    try {
      if (!this.#hasRoom(sums)) return null;
      const turn = turnOf(step);
      if (this.#written[turn].step !== step) this.#beginAnew(step);
      const other = this.#written[turn].newest === 0 ? 1 : 0;
      const head = { ...this.#bare(step), at, link, sizes: [size] };
      return {
        file: { path: join(this.#folder, `sums-${turn}-${other}`), header: headerBlock(head, HEADER_BYTES) },
        done: (part) => this.#write(part, other),
        failed: () => this.#failed(step),
      };
    } catch {
      this.#failed(step);
      return null;
    }
  }

  forgetFrom(step: number): void {
    try {
      this.#removeFrom(step);
    } catch {
      this.#failed(step);
    }
  }

  #removeFrom(step: number): void {
    for (const turn of TURNS) {
      const before = this.#written[turn];
      if (before.step === "nothing" || (before.step !== "unknown" && before.step < step)) continue;
      this.#remove(turn);
      this.#written[turn] = { ...before, step: "nothing" };
    }
  }

  #remove(turn: Turn): void {
    const names = namesIn(this.#folder).filter((name) => name.split("-")[1] === String(turn));
    // Sums first: without them nobody believes the others.
    for (const name of names.sort()) rmSync(join(this.#folder, name), { force: true });
  }

  #write({ step, worked }: StepPart, newest: Turn): void {
    const turn = turnOf(step);
    const before = this.#written[turn];
    if (before.step !== step) return;
    try {
      for (let at = before.worked; at < worked.length; at++) this.#writeOne(step, at, worked[at] as Worked);
      this.#written[turn] = { ...before, worked: worked.length, newest };
    } catch {
      this.#failed(step);
    }
  }

  #writeOne(step: number, at: number, { x, dy, loss, y, dx }: Worked): void {
    const arrays = [y, dx];
    // A loss that is no number ends the step, and has no place in JSON.
    const head = { ...this.#bare(step), at, x, dy, loss, sizes: arrays.map((each) => each?.length ?? null) };
    const payload = arrays.flatMap((each) => (each === null ? [] : [bytesOf(each)]));
    writeHeaderLast(
      { path: join(this.#folder, `worked-${turnOf(step)}-${at}`), header: headerBlock(head, HEADER_BYTES) },
      payload,
    );
  }

  #failed(step: number): void {
    this.#failedAt = step;
    let left: Written["step"] = "nothing";
    try {
      rmSync(this.#folder, { recursive: true, force: true });
    } catch {
      // What cannot be removed now may be when it is to be forgotten.
      left = "unknown";
    }
    for (const turn of TURNS) this.#written[turn] = { ...UNKNOWN, step: left };
  }

  #beginAnew(step: number): void {
    this.#removeFrom(step);
    const turn = turnOf(step);
    this.#written[turn] = { ...this.#written[turn], step, way: randomInt(MOST_WAYS), worked: 0 };
  }

  #bare(step: number): Omit<Header, "at" | "sizes"> {
    const { way } = this.#written[turnOf(step)];
    return { key: this.#key, step, way, link: null, x: null, dy: null, loss: null };
  }

  /** For two steps. What has begun may go on: it has taken a part of what is asked for. */
  #hasRoom({ step, size, crossingBytes }: SumsToKeep): boolean {
    // Whoever has put the states beside it on the disk has removed it with them.
    if (mkdirSync(this.#folder, { recursive: true, mode: 0o700 }) !== undefined)
      for (const turn of TURNS) this.#written[turn] = { ...this.#written[turn], worked: 0 };
    if (this.#hadRoomAt === step) return true;
    const { bavail, bsize } = statfsSync(this.#folder);
    const needed = STEPS * (2 * size * Float32Array.BYTES_PER_ELEMENT + crossingBytes);
    if (needed > SPARED * bavail * bsize) return false;
    this.#hadRoomAt = step;
    return true;
  }

  async #part(of: Header, sums: Activations | null): Promise<StepPart | null> {
    if (sums === null) return null;
    const worked: Worked[] = [];
    for (let at = 0; at < of.at; at++) {
      const found = await this.#read(`worked-${turnOf(of.step)}-${at}`);
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
      const found = header.parse(headerIn(bytes.subarray(0, HEADER_BYTES)));
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

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
