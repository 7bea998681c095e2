import type { SessionKey } from "../../src-protocol/keys.ts";
import { afterAnswer, afterFailure, afterSending, newcomer, route } from "../routing/route.ts";
import type { ReplicaLoad } from "../routing/route.ts";

/** The replicas of the next stage as their sender sees them: whom micro-batches may go to, and who is soonest done. */
export class NextReplicas {
  readonly #now: () => number;
  readonly #draw: () => number;
  readonly #loads = new Map<SessionKey, ReplicaLoad>();
  /** When what was sent to it last left, or its last answer came, whichever is later. */
  readonly #since = new Map<SessionKey, number>();

  constructor(now: () => number, draw: () => number = Math.random) {
    this.#now = now;
    this.#draw = draw;
  }

  /** Who may get micro-batches; what was measured of the others is forgotten. */
  admit(keys: readonly SessionKey[]): void {
    for (const key of this.#loads.keys()) if (!keys.includes(key)) this.#loads.delete(key);
    for (const key of keys)
      if (!this.#loads.has(key)) this.#loads.set(key, newcomer(key, [...this.#loads.values()], this.#now()));
  }

  /** Where the next micro-batch goes; null: nobody of `reachable` takes one now. */
  choose(reachable: (key: SessionKey) => boolean): SessionKey | null {
    const open = [...this.#loads.values()].filter(({ sessionKey }) => reachable(sessionKey));
    return route(open, this.#now(), this.#draw);
  }

  sent(key: SessionKey): void {
    const load = this.#loads.get(key);
    if (load === undefined) return;
    const now = this.#now();
    if (load.freeAt <= now) this.#since.set(key, now);
    this.#loads.set(key, afterSending(load, now));
  }

  answered(key: SessionKey): void {
    const load = this.#loads.get(key);
    if (load === undefined) return;
    const now = this.#now();
    const tookMs = now - (this.#since.get(key) ?? now);
    this.#since.set(key, now);
    // Of one that nothing was known of, the first measurement is all there is.
    this.#loads.set(key, load.workMs === 0 ? { ...load, workMs: tookMs } : afterAnswer(load, tookMs));
  }

  /** It can be reached again. */
  restored(key: SessionKey): void {
    const load = this.#loads.get(key);
    if (load !== undefined) this.#loads.set(key, { ...load, asideUntil: 0 });
  }

  failed(key: SessionKey): void {
    const load = this.#loads.get(key);
    if (load !== undefined) this.#loads.set(key, afterFailure(load, this.#now()));
  }
}
