/**
 * How many micro-batches a replica of the head has on their way: enough that nobody behind it is idle, and
 * no more than it can work on itself when they come back. That is the product of its own pace and the
 * shortest time in which one has come back (a path's bandwidth-delay product), as often as `GAIN` says:
 * a slow head has few of them, and a step's end waits for nobody's heap.
 */

/** Queues behind it even out what single micro-batches take; more of them only wait. */
const GAIN = 3;
const LEAST = 2;
/** Paths and peers change: the shortest time is that of this step and the one before. */
interface Shortest {
  readonly before: number | null;
  readonly now: number | null;
}

export class HeadWindow {
  readonly #now: () => number;
  readonly #guess: number;
  readonly #sentAt = new Map<number, number>();
  readonly #sent = new Set<number>();
  #shortest: Shortest = { before: null, now: null };

  /** @param guess what is had on the way until the first has come back */
  constructor(now: () => number, guess: number) {
    this.#now = now;
    this.#guess = guess;
  }

  /**
   * To the next stage. Where that had lost who had it, it comes back as soon as that stage has done it again: the stages
   * behind have it already, so that is not how long the path is.
   */
  sent(microBatch: number): void {
    if (this.#sent.has(microBatch)) {
      this.#sentAt.delete(microBatch);
      return;
    }
    this.#sent.add(microBatch);
    this.#sentAt.set(microBatch, this.#now());
  }

  /** Its gradient is here. */
  returned(microBatch: number): void {
    const at = this.#sentAt.get(microBatch);
    if (at === undefined) return;
    this.#sentAt.delete(microBatch);
    const took = this.#now() - at;
    this.#shortest = { ...this.#shortest, now: Math.min(this.#shortest.now ?? took, took) };
  }

  /** A step is over, or begun again. */
  stepped(): void {
    this.#sentAt.clear();
    this.#sent.clear();
    const { now, before } = this.#shortest;
    this.#shortest = { before: now ?? before, now: null };
  }

  /** @param workMs its own work on a micro-batch, there and back; 0: not known yet */
  most(workMs: number): number {
    const { before, now } = this.#shortest;
    const shortest = Math.min(before ?? Infinity, now ?? Infinity);
    if (workMs <= 0 || shortest === Infinity) return this.#guess;
    return Math.max(LEAST, Math.ceil((GAIN * shortest) / workMs));
  }
}
