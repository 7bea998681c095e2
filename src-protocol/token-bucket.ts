/** Bytes may flow at a rate, with bursts of what it brings in `burstSeconds`. Time is passed in, in ms. */
export class TokenBucket {
  readonly #burstSeconds: number;
  #bytesPerSecond: number;
  #level: number;
  #at: number;

  constructor(mbitPerSecond: number, now: number, burstSeconds = 1) {
    this.#burstSeconds = burstSeconds;
    this.#bytesPerSecond = bytesOf(mbitPerSecond);
    this.#level = this.#burstBytes;
    this.#at = now;
  }

  /**
   * Takes what has flowed already; the result is how many ms to wait before more may.
   *
   * @param keptSeconds what is kept of the time before, where it is not the burst
   */
  take(bytes: number, now: number, keptSeconds = this.#burstSeconds): number {
    const gained = (Math.max(0, now - this.#at) / 1000) * this.#bytesPerSecond;
    this.#level = Math.min(keptSeconds * this.#bytesPerSecond, this.#level + gained) - bytes;
    this.#at = now;
    return this.#level >= 0 ? 0 : (-this.#level / this.#bytesPerSecond) * 1000;
  }

  /** Another rate from now on. What was taken stays taken: changing it again and again gains no burst. */
  flowAt(mbitPerSecond: number, now: number): void {
    this.take(0, now);
    this.#bytesPerSecond = bytesOf(mbitPerSecond);
    this.#level = Math.min(this.#level, this.#burstBytes);
  }

  get #burstBytes(): number {
    return this.#bytesPerSecond * this.#burstSeconds;
  }
}

function bytesOf(mbit: number): number {
  return (mbit * 1e6) / 8;
}
