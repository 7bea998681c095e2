import { createHash } from "node:crypto";

/** A cache line each: together they take 20 to 50 µs, of a state of any size. */
const PLACES = 256;
const PLACE_BYTES = 64;

/**
 * What only those know who have a stage's state: SHA-256 over bytes of `[parameters | m | v]` from places all over
 * it, the first and the last ones among them. Each step changes nearly every value, so states of two steps, or two
 * halves of them, have other samples; a single value that has decayed is not found by it. Not for the renderer.
 */
export class StateSample {
  readonly #total: number;
  readonly #sample: Uint8Array;
  #seen = 0;

  /** `total`: bytes of the state. */
  constructor(total: number) {
    this.#total = total;
    this.#sample = new Uint8Array(Math.min(total, PLACES * PLACE_BYTES));
  }

  /** The state's next bytes, in pieces of any length. */
  update(bytes: Uint8Array): this {
    const [from, to] = [this.#seen, this.#seen + bytes.length];
    this.#seen = to;
    for (let place = this.#firstAfter(from); place * PLACE_BYTES < this.#sample.length; place += 1) {
      const at = this.#offsetOf(place);
      if (at >= to) break;
      const begin = Math.max(at, from);
      const end = Math.min(at + PLACE_BYTES, to, this.#total);
      this.#sample.set(bytes.subarray(begin - from, end - from), place * PLACE_BYTES + begin - at);
    }
    return this;
  }

  /** Hex. */
  digest(): string {
    return createHash("sha256").update("Train at Home sample v1\n").update(this.#sample).digest("hex");
  }

  /** The first place that does not end before `offset`. */
  #firstAfter(offset: number): number {
    let place = 0;
    while (place < PLACES && this.#offsetOf(place) + PLACE_BYTES <= offset) place += 1;
    return place;
  }

  /** Of a state that is no longer than its sample, all is in it. */
  #offsetOf(place: number): number {
    const last = Math.max(this.#total, PLACES * PLACE_BYTES) - PLACE_BYTES;
    return Math.floor((place * last) / (PLACES - 1));
  }
}

/** Of a state that lies in memory as a whole. */
export function stateSample(state: SharedArrayBuffer): string {
  return new StateSample(state.byteLength).update(new Uint8Array(state)).digest();
}
