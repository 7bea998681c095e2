import type { SessionKey } from "../../src-protocol/keys.ts";
import type { ReplicaLoad } from "../../src-protocol/peer.ts";

export type Pass = "forward" | "backward";

/** What is waiting for each pass. */
export type Waiting = Readonly<Record<Pass, number>>;

/** The share of the newest measurement in an average. */
const NEWEST = 0.2;
/** Senders hear of what has changed at most so often, beside the gradients that they get. */
const TELL_EVERY_MS = 500;

/** What this replica has to do, as those who send it work are told: by its own clock, and its own pace. */
export class OwnLoad {
  readonly #now: () => number;
  /** Usual times of its own passes. */
  readonly #usual = new Map<Pass, number>();
  readonly #taken = new Map<SessionKey, number>();
  /** Passes that were begun, of which the first is worked on. */
  readonly #begun: { readonly pass: Pass }[] = [];
  /** From when on. */
  #since = 0;
  #toldAt = -Infinity;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Of a micro-batch, there and back, ms; 0: not known yet. */
  get workMs(): number {
    return this.#msOf("forward") + this.#msOf("backward");
  }

  /**
   * It is worked on when those that were begun before have ended. Gives what ends it, once: with the ms of the pass,
   * or null where it came to nothing.
   */
  begins(pass: Pass): (ms: number | null) => void {
    const begun = { pass };
    if (this.#begun.length === 0) this.#since = this.#now();
    this.#begun.push(begun);
    return (ms) => {
      const at = this.#begun.indexOf(begun);
      if (at === -1) return;
      this.#begun.splice(at, 1);
      this.#since = this.#now();
      if (ms === null) return;
      const usual = this.#usual.get(pass) ?? ms;
      this.#usual.set(pass, usual + NEWEST * (ms - usual));
    };
  }

  took(from: SessionKey): void {
    this.#taken.set(from, (this.#taken.get(from) ?? 0) + 1);
  }

  /** A step is over, or begun again. */
  emptied(): void {
    this.#taken.clear();
  }

  /** For this sender. */
  of(sender: SessionKey, waiting: Waiting): ReplicaLoad {
    const [running, ...others] = this.#begun;
    const left = running === undefined ? 0 : this.#msOf(running.pass) - (this.#now() - this.#since);
    const backlogMs =
      Math.max(0, left) +
      others.reduce((sum, { pass }) => sum + this.#msOf(pass), 0) +
      waiting.forward * this.#msOf("forward") +
      waiting.backward * this.#msOf("backward");
    return { workMs: this.workMs, backlogMs, taken: this.#taken.get(sender) ?? 0 };
  }

  /** True once for a while: senders are to be told now. */
  isDue(): boolean {
    if (this.#usual.size === 0 || this.#now() - this.#toldAt < TELL_EVERY_MS) return false;
    this.#toldAt = this.#now();
    return true;
  }

  #msOf(pass: Pass): number {
    return this.#usual.get(pass) ?? 0;
  }
}
