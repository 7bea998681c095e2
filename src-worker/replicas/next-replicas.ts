import type { SessionKey } from "../../src-protocol/keys.ts";
import {
  afterAnswer,
  afterFailure,
  afterQueue,
  afterSending,
  afterStep,
  afterTelling,
  newcomer,
  route,
} from "../routing/route.ts";
import type { ReplicaLoad } from "../routing/route.ts";

/** What is taken for the time of one micro-batch before anybody has told it. */
const GUESSED_MS = 100;

/** The replicas of the next stage as their sender sees them: whom micro-batches may go to, and who is soonest done. */
export class NextReplicas {
  readonly #now: () => number;
  readonly #draw: () => number;
  readonly #loads = new Map<SessionKey, ReplicaLoad>();
  readonly #told = new Set<SessionKey>();

  constructor(now: () => number, draw: () => number = Math.random) {
    this.#now = now;
    this.#draw = draw;
  }

  /** Who may get micro-batches; what is known of the others is forgotten. */
  admit(keys: readonly SessionKey[]): void {
    for (const key of this.#loads.keys()) {
      if (keys.includes(key)) continue;
      this.#loads.delete(key);
      this.#told.delete(key);
    }
    for (const key of keys)
      if (!this.#loads.has(key)) this.#loads.set(key, newcomer(key, [...this.#loads.values()], GUESSED_MS));
  }

  /** Where the next micro-batch goes; null: nobody of `reachable` takes one now. */
  choose(reachable: (key: SessionKey) => boolean): SessionKey | null {
    const open = [...this.#loads.values()].filter(({ sessionKey }) => reachable(sessionKey));
    return route(open, this.#now(), this.#draw);
  }

  sent(key: SessionKey): void {
    this.#change(key, afterSending);
  }

  /** What was sent to it has come back as a gradient. */
  answered(key: SessionKey): void {
    this.#change(key, afterAnswer);
  }

  /** Its own work on a micro-batch, ms. */
  told(key: SessionKey, workMs: number): void {
    const isFirst = !this.#told.has(key);
    this.#change(key, (load) =>
      afterTelling(
        load,
        workMs,
        isFirst,
        [...this.#loads.values()].filter((each) => this.#told.has(each.sessionKey)),
      ),
    );
    if (!this.#loads.has(key)) return;
    this.#told.add(key);
    // The first that tells is all there is to know, also of the others, while they have told nothing.
    if (this.#told.size === 1)
      for (const other of this.#loads.keys()) this.#change(other, (load) => ({ ...load, workMs }));
  }

  /** What others have waiting there; and there and back on the link, ms, null where that is not known. */
  queued(key: SessionKey, othersWaiting: number, linkMs: number | null): void {
    this.#change(key, (load) => afterQueue(load, othersWaiting, linkMs));
  }

  emptied(): void {
    for (const key of this.#loads.keys()) this.#change(key, afterStep);
  }

  /** It can be reached again. */
  restored(key: SessionKey): void {
    this.#change(key, (load) => ({ ...load, asideUntil: 0 }));
  }

  failed(key: SessionKey): void {
    this.#change(key, (load) => afterFailure(load, this.#now()));
  }

  #change(key: SessionKey, change: (load: ReplicaLoad) => ReplicaLoad): void {
    const load = this.#loads.get(key);
    if (load !== undefined) this.#loads.set(key, change(load));
  }
}
