import { mkdir, open, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { sha256Hex } from "../../src-protocol/keys.ts";
import type { Activations } from "../compute/compute-call.ts";
import type { StepPart, Worked } from "./step-memo.ts";

const HEADER_BYTES = 1024;
/** Stands in the header's place while the file is being written: a kill may come at any time. */
const UNFINISHED = "unfinished";
/** Of the place's free memory that a step may take. */
const SPARED = 0.25;

const count = z.int().nonnegative();
const header = z.strictObject({
  /** Which slice of which run. */
  key: z.string(),
  step: count,
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

/**
 * What a stage has done of the step under way, in a file system that lies in memory: when its process is killed, the
 * next one goes on with the micro-batch that was under way. One file for each micro-batch of two steps, which is
 * written over, and the sums of gradients in two files by turns, so that one of them is always whole.
 */
export class MemoFiles {
  readonly #folder: string;
  readonly #key: string;
  /** After a failure nothing more is written; what cannot be kept is computed again. */
  #isFull = false;
  #hadRoomAt = -1;

  /** @param key which slice of which run */
  constructor(folder: string, key: string) {
    this.#folder = folder;
    this.#key = key;
  }

  /** Steps of which all is there, the oldest first. */
  async read(): Promise<StepPart[]> {
    const parts: StepPart[] = [];
    for (const turn of [0, 1]) {
      const sums = await Promise.all([0, 1].map((each) => this.#read(`sums-${turn}-${each}`)));
      const found = sums.filter((each) => each !== null).sort((a, b) => b.header.at - a.header.at);
      for (const each of found) {
        const part = await this.#part(each.header, each.arrays[0] ?? null);
        if (part === null) continue;
        parts.push(part);
        break;
      }
    }
    return parts.sort((a, b) => a.step - b.step);
  }

  /** Its last micro-batch, and the sums. */
  async write({ step, link, worked, sums }: StepPart): Promise<void> {
    const last = worked.at(-1);
    if (last === undefined || this.#isFull) return;
    const at = worked.length - 1;
    const bare = { key: this.#key, step, link: null, x: null, dy: null, loss: null };
    const turn = step % 2;
    try {
      if (this.#hadRoomAt !== step) await this.#mustHaveRoom(sums, last);
      this.#hadRoomAt = step;
      const { x, dy, loss, y, dx } = last;
      // A loss that is no number ends the step, and has no place in JSON.
      await this.#write(`worked-${turn}-${at}`, { ...bare, at, x, dy, loss }, [y, dx]);
      const name = `sums-${turn}-${worked.length % 2}`;
      await this.#write(name, { ...bare, at: worked.length, link }, [sums]);
    } catch {
      this.#isFull = true;
      await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined);
    }
  }

  async #mustHaveRoom(sums: Activations, { y, dx }: Worked): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(this.#folder);
    const once = sums.byteLength + (y?.byteLength ?? 0) + (dx?.byteLength ?? 0);
    if (4 * once > SPARED * bavail * bsize) throw new Error("there is no room for it");
  }

  async #part(of: Header, sums: Activations | null): Promise<StepPart | null> {
    if (sums === null) return null;
    const worked: Worked[] = [];
    for (let at = 0; at < of.at; at++) {
      const found = await this.#read(`worked-${of.step % 2}-${at}`);
      if (found === null || found.header.step !== of.step || found.header.at !== at) return null;
      const { x, dy, loss } = found.header;
      const [y = null, dx = null] = found.arrays;
      worked.push({ x, dy, loss, y, dx });
    }
    return { step: of.step, link: of.link, worked, sums };
  }

  async #write(
    name: string,
    head: Omit<Header, "sizes">,
    arrays: readonly (Activations | null)[],
  ): Promise<void> {
    const path = join(this.#folder, name);
    const file = await open(path, "r+").catch(async () => await open(path, "w", 0o600));
    try {
      const sizes = arrays.map((array) => array?.length ?? null);
      await file.write(block(UNFINISHED), 0, HEADER_BYTES, 0);
      const payload = arrays.flatMap((array) => (array === null ? [] : [bytesOf(array)]));
      if (payload.length > 0) await file.writev(payload, HEADER_BYTES);
      await file.write(block(JSON.stringify({ ...head, sizes } satisfies Header)), 0, HEADER_BYTES, 0);
    } finally {
      await file.close();
    }
  }

  /** Null: it is not there, not whole, or of something else. */
  async #read(
    name: string,
  ): Promise<{ readonly header: Header; readonly arrays: (Activations | null)[] } | null> {
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

function block(text: string): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  if (read !== text.length) throw new RangeError("the header is too long");
  return bytes;
}

function bytesOf({ buffer, byteOffset, byteLength }: Activations): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
