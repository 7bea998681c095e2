import type { LinkClock } from "./link-clock.ts";
import type { LinkTiming } from "./link.ts";

export interface LinkPulseEvents {
  /** Time to ask the peer for a sign of life. */
  beat(): void;
  /** True while we do not read on purpose: then silence says nothing about the peer. */
  deaf(): boolean;
  /** Nothing was heard for `deadAfterMs`. */
  silent(): void;
}

/** A peer that talks but never answers costs no more than this. */
const QUESTIONS_KEPT = 16;

/** Asks regularly, notices silence, measures the round trip. */
export class LinkPulse {
  readonly #clock: LinkClock;
  readonly #timing: LinkTiming;
  readonly #events: LinkPulseEvents;
  #heardAt: number;
  /** When the questions left that are not answered yet; answers come in the same order. */
  #askedAt: number[] = [];
  #roundTripMs: number | null = null;
  /** The peer says that it has heard nothing since; null: it hears us, as far as we know. */
  #unheardSince: number | null = null;
  #cancelBeat: () => void;
  #cancelWatch: () => void;

  constructor(clock: LinkClock, timing: LinkTiming, events: LinkPulseEvents) {
    this.#clock = clock;
    this.#timing = timing;
    this.#events = events;
    this.#heardAt = clock.now();
    this.#cancelBeat = clock.after(timing.heartbeatMs, () => this.#beat());
    this.#cancelWatch = clock.after(timing.deadAfterMs, () => this.#watch("first look"));
  }

  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** Since anything came. */
  get quietMs(): number {
    return this.#clock.now() - this.#heardAt;
  }

  /** Since it was heard, or it heard us. */
  get silentMs(): number {
    const unheardMs = this.#unheardSince === null ? 0 : this.#clock.now() - this.#unheardSince;
    return Math.max(this.quietMs, unheardMs);
  }

  /** The peer has heard nothing of us for so long. */
  unheard(ms: number): void {
    this.#unheardSince = Math.min(this.#unheardSince ?? Infinity, this.#clock.now() - ms);
  }

  /** Any byte is a sign of life. */
  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  asked(): void {
    this.#askedAt.push(this.#clock.now());
    if (this.#askedAt.length > QUESTIONS_KEPT) this.#askedAt.shift();
  }

  answered(): void {
    this.#unheardSince = null;
    const askedAt = this.#askedAt.shift();
    if (askedAt !== undefined) this.#roundTripMs = this.#clock.now() - askedAt;
  }

  stop(): void {
    this.#cancelBeat();
    this.#cancelWatch();
  }

  #beat(): void {
    this.#cancelBeat = this.#clock.after(this.#timing.heartbeatMs, () => this.#beat());
    this.#events.beat();
  }

  /**
   * When this process was stopped or busy, timers run before the sockets that would show the peer
   * alive. So the verdict falls only at a second look, after the sockets have been read.
   */
  #watch(look: "first look" | "second look"): void {
    if (this.#events.deaf()) this.heard();
    const remainingMs = this.#heardAt + this.#timing.deadAfterMs - this.#clock.now();
    if (remainingMs > 0) {
      this.#cancelWatch = this.#clock.after(remainingMs, () => this.#watch("first look"));
    } else if (look === "first look") {
      this.#cancelWatch = this.#clock.after(0, () => this.#watch("second look"));
    } else {
      this.#events.silent();
    }
  }
}
