import type { PresenceHour } from "../../src-protocol/forecast.ts";
import { HOUR_MS } from "../../src-protocol/history.ts";
import type { HistoryStore } from "../history/history-store.ts";

/** Older weeks say little about the next one. */
export const KEPT_WEEKS = 8;
/** Looks that are further apart than this say nothing of the time between. */
const LONGEST_LOOK_MS = 3 * 60_000;
/** Somebody is here for so long after the last input. */
const HERE_SECONDS = 5 * 60;

export interface PresencePorts {
  /** Null: it cannot be kept. */
  readonly store: Pick<HistoryStore, "addPresence" | "presence" | "forgetPresence"> | null;
  /** Unix milliseconds. */
  now(): number;
  /** Seconds since the last input; null: cannot tell. */
  idleSeconds(): number | null;
  /** The owner allows it to be learned. */
  allowed(): boolean;
  failed(error: unknown): void;
}

/** Learns, hour by hour, when nobody is here. It stays on this computer, and its owner can delete it. */
export class Presence {
  readonly #ports: PresencePorts;
  #lookedAt: number | null = null;

  constructor(ports: PresencePorts) {
    this.#ports = ports;
  }

  /** Once a minute. */
  look(): void {
    const { now, idleSeconds, allowed } = this.#ports;
    const at = now();
    const since = this.#lookedAt;
    this.#lookedAt = at;
    const idle = allowed() ? idleSeconds() : null;
    if (idle === null || since === null || at <= since || at - since > LONGEST_LOOK_MS) return;
    const seenMs = at - since;
    this.#try(() =>
      this.#ports.store?.addPresence({
        at: Math.floor(at / HOUR_MS) * HOUR_MS,
        awayMs: idle >= HERE_SECONDS ? seenMs : 0,
        seenMs,
      }),
    );
  }

  /** Oldest first. */
  hours(): PresenceHour[] {
    const from = this.#ports.now() - KEPT_WEEKS * 7 * 24 * HOUR_MS;
    return this.#ports.store?.presence(from) ?? [];
  }

  forget(): void {
    this.#lookedAt = null;
    this.#ports.store?.forgetPresence();
  }

  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#ports.failed(error);
    }
  }
}
