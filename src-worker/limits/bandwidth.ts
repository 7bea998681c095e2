import { CHUNK_BYTES } from "../../src-protocol/peer.ts";
import { TokenBucket } from "../../src-protocol/token-bucket.ts";
import type { LinkClock } from "../links/index.ts";

/** What may flow at once after a pause, in seconds of the limit. */
const BURST_SECONDS = 0.25;
/**
 * Who waits and is served late, because this process had no processor or the disk was slow, makes up for so
 * much: over ten seconds the limit is passed by less than a tenth, and kept although the computer is busy.
 */
const LATE_SECONDS = 0.75;
/** Nobody has waited for so long: whatever was not sent, nobody wanted to send. */
const WANTED_MS = 1_000;
/** How long one piece may keep the line, in seconds of the limit: whatever is urgent waits so long at most. */
const PIECE_SECONDS = 0.1;
const LEAST_PIECE_BYTES = 4 * 1024;

/**
 * One direction of this worker's line. Urgent bytes are spent at once, even into debt; bulk asks
 * `isFree` before each piece, and takes its turn when it is not. Everything counts, so the mean is
 * the limit whatever the mixture.
 */
export class Bandwidth {
  readonly #clock: LinkClock;
  #bucket: TokenBucket | null = null;
  #mbit: number | null = null;
  /** First come, first served. */
  #waiting: (() => void)[] = [];
  #cancel: (() => void) | null = null;
  #wantedAt = -Infinity;
  #bytes = 0;
  #held = false;

  constructor(clock: LinkClock) {
    this.#clock = clock;
  }

  /** In all, since the beginning. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True when nobody waits and a piece of bulk may go now. */
  get isFree(): boolean {
    return this.#waiting.length === 0 && this.#waitMs() === 0;
  }

  /** Null: no limit. */
  get bytesPerSecond(): number | null {
    return this.#mbit === null ? null : (this.#mbit * 1e6) / 8;
  }

  /** Into how large pieces bulk is cut, so that what is urgent can go between them. */
  get pieceBytes(): number {
    if (this.#mbit === null) return CHUNK_BYTES;
    const bytes = Math.floor(((this.#mbit * 1e6) / 8) * PIECE_SECONDS);
    return Math.min(CHUNK_BYTES, Math.max(LEAST_PIECE_BYTES, bytes));
  }

  /** Null: no limit. Takes effect for what waits now, too. */
  limit(mbit: number | null): void {
    if (mbit === this.#mbit) return;
    this.#mbit = mbit;
    const now = this.#clock.now();
    if (mbit === null) this.#bucket = null;
    else if (this.#bucket === null) this.#bucket = new TokenBucket(mbit, now, BURST_SECONDS);
    else this.#bucket.flowAt(mbit, now);
    this.#cancel?.();
    this.#cancel = null;
    this.#serve();
  }

  /** These have flowed, or go now. */
  spend(bytes: number): void {
    this.#bytes += bytes;
    this.#take(bytes);
  }

  /** Runs `turn` later, once, when a piece may go: it spends, and asks again for the next. The result cancels. */
  whenFree(turn: () => void): () => void {
    this.#held = true;
    this.#wantedAt = this.#clock.now();
    this.#waiting.push(turn);
    this.#arm();
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== turn);
    };
  }

  /** Whether anything had to wait since this was asked last. */
  takeHeld(): boolean {
    const held = this.#held || this.#waiting.length > 0;
    this.#held = false;
    return held;
  }

  #waitMs(): number {
    // Whole milliseconds: a rounding error of the level is no reason for another timer.
    return Math.ceil(this.#take(0) - 1e-6);
  }

  #take(bytes: number): number {
    const now = this.#clock.now();
    if (this.#waiting.length > 0) this.#wantedAt = now;
    const keptSeconds = now - this.#wantedAt < WANTED_MS ? LATE_SECONDS : BURST_SECONDS;
    return this.#bucket?.take(bytes, now, keptSeconds) ?? 0;
  }

  #arm(): void {
    this.#cancel ??= this.#clock.after(this.#waitMs(), () => {
      this.#cancel = null;
      this.#serve();
    });
  }

  #serve(): void {
    while (this.#waiting.length > 0 && this.#waitMs() === 0) this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#arm();
  }
}
