import type { LoadingProgress } from "../../src-protocol/loading.ts";

/** Often enough for a person, seldom enough for a channel. */
export const TELL_EVERY_MS = 1_000;
/** What the rate is taken over. */
const WINDOW_MS = 10_000;

export type LoadingFile = LoadingProgress["what"];

/**
 * Counts what has come of one load, over all its files, and says now and then how fast it goes. Pure:
 * the clock comes with the count.
 */
export class LoadingMeter {
  readonly #tell: (progress: LoadingProgress, total: number) => void;
  /** Of files that came before the one of now. */
  #before = 0;
  #what: LoadingFile | null = null;
  #bytes = 0;
  #marks: { readonly at: number; readonly bytes: number }[] = [];
  #toldAt = -Infinity;

  /** `total`: bytes of all files of this load so far. */
  constructor(tell: (progress: LoadingProgress, total: number) => void) {
    this.#tell = tell;
  }

  /** `bytes` of `ofBytes` are here and right. `now` in milliseconds of any one clock. */
  count(what: LoadingFile, bytes: number, ofBytes: number, now: number): void {
    if (what !== this.#what) {
      this.#before += this.#bytes;
      this.#what = what;
      // What was here already says nothing about how fast the rest comes.
      this.#marks = [{ at: now, bytes }];
      this.#toldAt = -Infinity;
    }
    this.#bytes = bytes;
    if (now - this.#toldAt < TELL_EVERY_MS && bytes < ofBytes) return;
    this.#toldAt = now;
    this.#marks.push({ at: now, bytes });
    while (this.#marks.length > 2 && (this.#marks[1]?.at ?? now) <= now - WINDOW_MS) this.#marks.shift();
    const oldest = this.#marks[0] ?? { at: now, bytes };
    const bytesPerSecond =
      now - oldest.at < TELL_EVERY_MS ? null : ((bytes - oldest.bytes) * 1000) / (now - oldest.at);
    const secondsLeft =
      bytesPerSecond === null || bytesPerSecond === 0 ? null : (ofBytes - bytes) / bytesPerSecond;
    this.#tell({ what, bytes, ofBytes, bytesPerSecond, secondsLeft }, this.#before + bytes);
  }
}
