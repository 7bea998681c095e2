/** One unwanted end of a child process. */
export interface Crash {
  /** Milliseconds of a clock that nobody sets. */
  readonly at: number;
  /** Its own failure code, `exit-N` or `signal-NAME`. */
  readonly code: string;
  readonly message: string;
}

export type Restart =
  | { readonly kind: "restart"; readonly delayMs: number }
  | { readonly kind: "aside"; readonly crash: Crash };

export const CRASH_WINDOW_MS = 60_000;
const DELAYS_MS = [0, 100, 1_000, 2_000, 5_000];
const SAME_FAILURES = 5;

/**
 * What to do after a child has ended by itself: again at once, then with growing pauses; one that
 * keeps failing in the same way is put aside. Being killed from outside is nobody's failure.
 */
export function afterCrash(crashes: readonly Crash[], now: number): Restart {
  const recent = crashes.filter(({ at }) => now - at < CRASH_WINDOW_MS);
  const last = recent.at(-1);
  if (last === undefined) return { kind: "restart", delayMs: 0 };
  const same = recent.filter(({ code }) => code === last.code).length;
  if (last.code !== "signal-SIGKILL" && same >= SAME_FAILURES) return { kind: "aside", crash: last };
  return { kind: "restart", delayMs: DELAYS_MS[Math.min(recent.length, DELAYS_MS.length) - 1] ?? 0 };
}
