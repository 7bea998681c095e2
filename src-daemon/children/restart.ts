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

/** The network's no to this computer: it was asked several times, and a new process would hear the same. */
const REFUSALS: ReadonlySet<string> = new Set([
  "invitation-needed",
  "invitation-unknown",
  "invitation-revoked",
  "invitation-expired",
  "invitation-used-up",
  "network-wrong-key",
  "wrong-network",
  "protocol-mismatch",
  "not-exact",
]);

export function isRefusal(code: string): boolean {
  return REFUSALS.has(code);
}

/**
 * What to do after a child has ended by itself: again at once, then with growing pauses; one that
 * keeps failing in the same way, or is not let in, is put aside. Being killed from outside is nobody's failure.
 */
export function afterCrash(crashes: readonly Crash[], now: number): Restart {
  const recent = crashes.filter(({ at }) => now - at < CRASH_WINDOW_MS);
  const last = recent.at(-1);
  if (last === undefined) return { kind: "restart", delayMs: 0 };
  if (isRefusal(last.code)) return { kind: "aside", crash: last };
  const same = recent.filter(({ code }) => code === last.code).length;
  if (last.code !== "signal-SIGKILL" && same >= SAME_FAILURES) return { kind: "aside", crash: last };
  return { kind: "restart", delayMs: DELAYS_MS[Math.min(recent.length, DELAYS_MS.length) - 1] ?? 0 };
}
