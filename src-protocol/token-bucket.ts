/** Bytes may flow at `bytesPerSecond`, with bursts of one second. Time is passed in. */
export class TokenBucket {
  readonly #bytesPerSecond: number;
  #level: number;
  #at: number;

  constructor(mbitPerSecond: number, now: number) {
    this.#bytesPerSecond = (mbitPerSecond * 1e6) / 8;
    this.#level = this.#bytesPerSecond;
    this.#at = now;
  }

  /** Takes what has flowed already; the result is how many ms to wait before more may. */
  take(bytes: number, now: number): number {
    const gained = (Math.max(0, now - this.#at) / 1000) * this.#bytesPerSecond;
    this.#level = Math.min(this.#bytesPerSecond, this.#level + gained) - bytes;
    this.#at = now;
    return this.#level >= 0 ? 0 : (-this.#level / this.#bytesPerSecond) * 1000;
  }
}
