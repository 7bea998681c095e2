import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../../src-protocol/failure.ts";

/** Without a byte for so long there is nobody to take it from, or to give it to. What has come is kept. */
const FRUITLESS_MS = 90_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5_000;
/** Failures after which asking again is of no use. */
const FINAL = new Set(["blob-refused", "blob-too-large", "blob-corrupt"]);

export interface Patience {
  readonly signal: AbortSignal | undefined;
  /** Milliseconds, of a clock that never jumps. */
  readonly now?: (() => number) | undefined;
}

/** Again and again with growing pauses, for as long as something comes now and then. */
export async function persistently<T>(
  { signal, now = () => performance.now() }: Patience,
  /** Calls back when something has come: then patience begins anew. */
  attempt: (progressed: () => void) => Promise<T>,
): Promise<T> {
  let goodAt = now();
  let retryMs = FIRST_RETRY_MS;
  const progressed = (): void => {
    goodAt = now();
    retryMs = FIRST_RETRY_MS;
  };
  for (;;) {
    try {
      return await attempt(progressed);
    } catch (error) {
      signal?.throwIfAborted();
      // Of a source there is nothing but Failures: the rest is about the disk.
      const isOver = now() - goodAt >= FRUITLESS_MS;
      if (!(error instanceof Failure) || FINAL.has(error.code) || isOver) throw error;
      await wait(retryMs, undefined, signal === undefined ? {} : { signal });
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    }
  }
}
