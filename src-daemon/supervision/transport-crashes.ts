/** So many in an hour, and the node goes on without the transport. */
export const CRASHES_BEFORE_OFF = 3;
const HOUR_MS = 3_600_000;
/** What the transport's native parts print when they give up. */
const ITS_WORDS = /udx|hyperdht|sodium|libuv|uv__/i;

export interface Ending {
  /** As a crash is named: `signal-SIGSEGV`. */
  readonly code: string;
  /** It had a link over HyperDHT at that moment. */
  readonly overHyperdht: boolean;
  readonly provider: string;
  /** The last lines that it wrote. */
  readonly lines: readonly string[];
}

/**
 * Whether the transport's native code is the likeliest cause of a process's end. A signal names
 * nobody: where a graphics card computes, its driver is; the processor's own kernels do not crash.
 */
export function isTransportCrash({ code, overHyperdht, provider, lines }: Ending): boolean {
  if (!overHyperdht || !code.startsWith("signal-") || code === "signal-SIGKILL") return false;
  return provider === "cpu" || lines.some((line) => ITS_WORDS.test(line));
}

/** Counts them. The node is not the poorer for one: its worker is back from its snapshot like after any death. */
export class TransportCrashes {
  #at: number[] = [];

  /** One sentence for the activity. */
  crashed(now: number): string {
    this.#at = [...this.#at.filter((at) => now - at < HOUR_MS), now];
    const count = this.#at.length;
    return count >= CRASHES_BEFORE_OFF
      ? `The links' transport (HyperDHT) has crashed ${count} times within an hour: this node goes on over TLS.`
      : `The links' transport (HyperDHT) has crashed; the worker is started again (${count} of ${CRASHES_BEFORE_OFF} within an hour).`;
  }

  /** Why a worker that starts now makes no links over HyperDHT; null: it may. */
  off(now: number): string | null {
    const count = this.#at.filter((at) => now - at < HOUR_MS).length;
    return count >= CRASHES_BEFORE_OFF
      ? `It has crashed ${count} times within an hour on this computer.`
      : null;
  }
}
