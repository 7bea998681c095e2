import { diff } from "../../src-protocol/patch.ts";
import type { Json, PatchOperation } from "../../src-protocol/patch.ts";
import type { ActivityKind, DaemonState } from "../../src-protocol/state.ts";

/** Clients get at most ten patches a second. */
export const PATCH_EVERY_MS = 100;
export const ACTIVITY_ENTRIES = 50;

export interface StateListener {
  (operations: readonly PatchOperation[]): void;
}

/** The one state tree. It changes through `update` alone; listeners get what has changed, gathered. */
export class StateStore {
  #state: DaemonState;
  /** What the listeners have seen. */
  #sent: DaemonState;
  readonly #listeners = new Set<StateListener>();
  readonly #now: () => number;
  readonly #steady: () => number;
  #timer: NodeJS.Timeout | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;

  /** `now` dates the activity; `steady` is a clock that nobody sets: what waits is measured by it. */
  constructor(initial: DaemonState, now: () => number, steady: () => number = () => performance.now()) {
    this.#state = initial;
    this.#sent = initial;
    this.#now = now;
    this.#steady = steady;
  }

  get(): DaemonState {
    return this.#state;
  }

  update(change: (state: DaemonState) => DaemonState): void {
    const next = change(this.#state);
    if (next === this.#state) return;
    this.#state = next;
    if (this.#timer !== undefined) return;
    const wait = Math.max(0, this.#sentAt + PATCH_EVERY_MS - this.#steady());
    this.#timer = setTimeout(() => this.flush(), wait).unref();
  }

  /** Adds a line to the activity list: plain words for a person. */
  note(kind: ActivityKind, text: string): void {
    const entry = { at: this.#now(), kind, text };
    this.update((state) => ({ ...state, activity: [entry, ...state.activity].slice(0, ACTIVITY_ENTRIES) }));
  }

  /**
   * The whole state now; then every change through `listener`, until the returned function is
   * called. What is waiting is sent to the others first, so that all stand on the same state.
   */
  subscribe(listener: StateListener): { state: DaemonState; unsubscribe: () => void } {
    this.flush();
    this.#listeners.add(listener);
    return { state: this.#state, unsubscribe: () => void this.#listeners.delete(listener) };
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#sent === this.#state) return;
    const operations = diff(json(this.#sent), json(this.#state));
    this.#sent = this.#state;
    if (operations.length === 0) return;
    this.#sentAt = this.#steady();
    for (const listener of this.#listeners) listener(operations);
  }
}

/** The state's schema holds JSON values only; its type cannot say so. */
const json = (state: DaemonState): Json => state as unknown as Json;
