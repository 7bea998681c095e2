import type { z } from "zod";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { chainState } from "../../src-protocol/state.ts";

export type ChainState = z.infer<typeof chainState>;

/** The network's block clock, and with a real chain the balance of the payout address. */
export interface ChainClock {
  state(): ChainState;
  /** Called after every change of `state()`; the answer ends that. */
  onChange(handler: (state: ChainState) => void): () => void;
  stop(): Promise<void>;
}

export interface ChainPorts {
  readonly now: () => number;
  /** Runs `action` once after `ms`; the answer cancels it. */
  readonly after: (ms: number, action: () => void) => () => void;
}

export const REAL_PORTS: ChainPorts = {
  now: Date.now,
  after(ms, action) {
    const timer = setTimeout(action, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** A state that tells its listeners when it changes. */
export class ObservedChainState {
  #state: ChainState;
  readonly #handlers = new Set<(state: ChainState) => void>();

  constructor(state: ChainState) {
    this.#state = state;
  }

  get(): ChainState {
    return this.#state;
  }

  set(changes: Partial<ChainState>): void {
    const next = { ...this.#state, ...changes };
    const changed = (Object.keys(next) as (keyof ChainState)[]).some((key) => next[key] !== this.#state[key]);
    if (!changed) return;
    this.#state = next;
    for (const handler of this.#handlers) handler(next);
  }

  onChange(handler: (state: ChainState) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  close(): void {
    this.#handlers.clear();
  }
}

/** Whose balance is read, and where. */
export interface ChainAccount {
  readonly url: string;
  readonly payout: Ss58Address;
}
