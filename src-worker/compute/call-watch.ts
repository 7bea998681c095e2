import type { ComputeCall } from "./compute-call.ts";

/** A pass may take so many times as long as its slowest ones did, and never has less than a minute. */
const TIMES = 20;
const SHORTEST_MS = 60_000;
/** What was not measured, and what depends on a model's size: opening and loading. */
const LONGEST_MS = 30 * 60_000;
/** What is kept of the slowest with each one that was faster. */
const KEPT = 0.95;
/** A clock that jumps further between two looks stood still with everything else: that is nobody's silence. */
const LOOK_LIMIT_MS = 5_000;

const MEASURED: ReadonlySet<ComputeCall> = new Set([
  "forward",
  "backward",
  "tail",
  "loss",
  "tie",
  "gradients",
  "setGradients",
  "optimise",
]);

/**
 * Whether the compute thread still answers. A driver that hangs gives no error and keeps its thread for ever;
 * a computer that is slow, or gets slower and slower, answers late each time, and is given longer each time.
 */
export class CallWatch {
  /** About the slowest of each, slowly forgotten; ms. */
  readonly #slowest = new Map<ComputeCall, number>();
  #current: ComputeCall | null = null;
  #waitedMs = 0;
  #lookedAt: number | null = null;

  /** The thread has begun this one; null: it has nothing to do. */
  began(call: ComputeCall | null): void {
    this.#current = call;
    this.#waitedMs = 0;
    this.#lookedAt = null;
  }

  /** It has answered, after so long. */
  answered(call: ComputeCall, ms: number): void {
    if (!MEASURED.has(call)) return;
    this.#slowest.set(call, Math.max(ms, (this.#slowest.get(call) ?? 0) * KEPT));
  }

  /** Every second or so. Why it counts as hanging; null: it does not. */
  look(now: number): string | null {
    const call = this.#current;
    if (call === null) return null;
    this.#waitedMs += this.#lookedAt === null ? 0 : Math.min(LOOK_LIMIT_MS, now - this.#lookedAt);
    this.#lookedAt = now;
    const slowest = this.#slowest.get(call) ?? null;
    const mostMs = slowest === null ? LONGEST_MS : Math.max(SHORTEST_MS, slowest * TIMES);
    if (this.#waitedMs <= mostMs) return null;
    const usual = slowest === null ? "" : `, and never took more than ${seconds(slowest)} before`;
    return `it has not answered for ${seconds(this.#waitedMs)} (${call}${usual}): a driver or the processor hangs`;
  }
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
