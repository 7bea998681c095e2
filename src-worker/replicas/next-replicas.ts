import type { SessionKey } from "../../src-protocol/keys.ts";
import {
  afterAnswer,
  afterBacklog,
  afterFailure,
  afterSending,
  afterStep,
  afterTelling,
  believable,
  newcomer,
  route,
} from "../routing/route.ts";
import type { ReplicaLoad } from "../routing/route.ts";
import type { ReplicaLoad as Told } from "../../src-protocol/peer.ts";

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

  /**
   * Where the next micro-batch goes; null: nobody of `reachable` takes one now. `senders`: where what a lost replica had is
   * sent again, as many send their part of it at the same moment. All that they know was told before: so each takes the
   * others' for as much as its own, and tries nobody of whom nothing is known.
   */
  choose(reachable: (key: SessionKey) => boolean, senders = 1): SessionKey | null {
    const open = [...this.#loads.values()].filter(({ sessionKey }) => reachable(sessionKey));
    const known = senders === 1 ? open : open.filter(({ sessionKey }) => this.#told.has(sessionKey));
    return route(known.length === 0 ? open : known, this.#now(), this.#draw, senders);
  }

  sent(key: SessionKey): void {
    this.#change(key, afterSending);
  }

  /** What was sent to it has come back as a gradient. */
  answered(key: SessionKey): void {
    this.#change(key, afterAnswer);
  }

  /** What it has to do, and how long it works on a micro-batch. `linkMs`: there and back; null, not known. */
  told(key: SessionKey, told: Told, linkMs: number | null): void {
    this.#pace(key, told.workMs);
    this.#change(key, (load) => afterBacklog(load, told, linkMs, this.#now()));
  }

  #pace(key: SessionKey, toldMs: number): void {
    if (!this.#loads.has(key)) return;
    const isFirst = !this.#told.has(key);
    const workMs = believable(toldMs, this.#workOfOthers(key));
    this.#change(key, (load) => afterTelling(load, workMs, isFirst));
    this.#told.add(key);
    // The first that tells is all there is to know, also of the others, while they have told nothing.
    if (this.#told.size === 1)
      for (const other of this.#loads.keys()) this.#change(other, (load) => ({ ...load, workMs }));
  }

  *#workOfOthers(key: SessionKey): Iterable<number> {
    for (const other of this.#told) {
      const ms = other === key ? undefined : this.#loads.get(other)?.workMs;
      if (ms !== undefined) yield ms;
    }
  }

  /** A step is over, or begun again: nothing is on its way. */
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
