import type { SessionKey } from "../../src-protocol/keys.ts";
import { afterAnswer, afterFailure, afterSending, newcomer, route } from "../routing/route.ts";
import type { ReplicaLoad } from "../routing/route.ts";

/** What is taken for the time of one micro-batch before anybody was measured: without a guess all would go to one. */
const GUESSED_MS = 100;

/** The replicas of the next stage as their sender sees them: whom micro-batches may go to, and who is soonest done. */
export class NextReplicas {
  readonly #now: () => number;
  readonly #draw: () => number;
  readonly #loads = new Map<SessionKey, ReplicaLoad>();
  readonly #measured = new Set<SessionKey>();
  /** When what was sent to it last left, or its last answer came, whichever is later. */
  readonly #since = new Map<SessionKey, number>();

  constructor(now: () => number, draw: () => number = Math.random) {
    this.#now = now;
    this.#draw = draw;
  }

  /** Who may get micro-batches; what was measured of the others is forgotten. */
  admit(keys: readonly SessionKey[]): void {
    for (const key of this.#loads.keys()) {
      if (keys.includes(key)) continue;
      this.#loads.delete(key);
      this.#measured.delete(key);
    }
    for (const key of keys) {
      if (this.#loads.has(key)) continue;
      const load = newcomer(key, [...this.#loads.values()], this.#now());
      this.#loads.set(key, load.workMs === 0 ? { ...load, workMs: GUESSED_MS } : load);
    }
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
    if (this.#measured.has(key)) return void this.#loads.set(key, afterAnswer(load, tookMs));
    // The first measurement is all there is, also of the others, while they have none of their own.
    this.#measured.add(key);
    const workMs = Math.max(1, tookMs);
    for (const [other, its] of this.#loads)
      if (other === key || this.#measured.size === 1)
        this.#loads.set(other, { ...its, workMs, freeAt: Math.min(its.freeAt, now + workMs) });
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
