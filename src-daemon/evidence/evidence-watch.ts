import { type Evidence, type Rules, UNKNOWN_EVIDENCE } from "../../src-protocol/policy.ts";
import type { Cancel, Timers } from "../policy/timers.ts";
import type { Probe } from "./probe.ts";
import type { Probes } from "./probes.ts";

/** A report from the shell counts for this long. */
export const REPORT_MS = 60_000;
const TICK_MS = 5000;

export interface EvidenceWatchOptions {
  probes: Probes;
  now: () => number;
  timers: Pick<Timers, "every">;
  /** Called when the evidence may have changed. */
  onEvidence: () => void;
}

/**
 * Keeps what is known about the computer fresh while a rule needs it, and does nothing otherwise.
 * A reading that grew old counts as unknown, so a probe that hangs cannot keep work going.
 */
export class EvidenceWatch {
  readonly #now: () => number;
  readonly #timers: Pick<Timers, "every">;
  readonly #onEvidence: () => void;
  readonly #power: ProbeRound<Pick<Evidence, "power" | "batteryPercent">>;
  readonly #idle: ProbeRound<Evidence["idleSeconds"]>;
  #report: { evidence: Evidence; at: number } | null = null;
  #needsPower = false;
  #needsIdle = false;
  #ticking: Cancel | null = null;

  constructor({ probes, now, timers, onEvidence }: EvidenceWatchOptions) {
    this.#now = now;
    this.#timers = timers;
    this.#onEvidence = onEvidence;
    this.#power = new ProbeRound(probes.power, now);
    this.#idle = new ProbeRound(probes.idle, now);
  }

  /** Probing begins at once when a rule comes to need it, and stops with the last such rule. */
  need({ onlyOnPower, onlyWhenIdle }: Pick<Rules, "onlyOnPower" | "onlyWhenIdle">): void {
    this.#needsPower = onlyOnPower;
    this.#needsIdle = onlyWhenIdle;
    if (!onlyOnPower && !onlyWhenIdle) {
      this.close();
      return;
    }
    this.#ticking ??= this.#timers.every(TICK_MS, () => this.#tick());
    this.#tick();
  }

  /** What the shell says, which knows the desktop best. What it calls unknown the probes may fill in. */
  report(evidence: Evidence): void {
    this.#report = { evidence, at: this.#now() };
  }

  evidence(): Evidence {
    const told = this.#fresh();
    const power = told.power === "unknown" ? this.#power.reading() : told;
    return {
      idleSeconds: told.idleSeconds ?? this.#idle.reading(),
      power: power?.power ?? "unknown",
      batteryPercent: power?.batteryPercent ?? null,
    };
  }

  close(): void {
    this.#ticking?.();
    this.#ticking = null;
  }

  #fresh(): Evidence {
    if (this.#report === null) return UNKNOWN_EVIDENCE;
    const age = this.#now() - this.#report.at;
    return age >= 0 && age < REPORT_MS ? this.#report.evidence : UNKNOWN_EVIDENCE;
  }

  #tick(): void {
    const told = this.#fresh();
    if (this.#needsPower && told.power === "unknown") this.#begin(this.#power);
    if (this.#needsIdle && told.idleSeconds === null) this.#begin(this.#idle);
    // A report or reading may have grown old in the meantime.
    this.#onEvidence();
  }

  #begin(round: ProbeRound<unknown>): void {
    void round.readIfDue().then((read) => {
      if (read && this.#ticking !== null) this.#onEvidence();
    });
  }
}

/** One probe, its last reading and when it was taken. */
class ProbeRound<T> {
  readonly #probe: Probe<T>;
  readonly #now: () => number;
  #last: { reading: T; at: number } | null = null;
  #begunAt: number | null = null;
  #running = false;

  constructor(probe: Probe<T>, now: () => number) {
    this.#probe = probe;
    this.#now = now;
  }

  /** null: none, or too old to be true. */
  reading(): T | null {
    if (this.#last === null) return null;
    const mostMs = 3 * this.#probe.everyMs + TICK_MS;
    return Math.abs(this.#now() - this.#last.at) <= mostMs ? this.#last.reading : null;
  }

  /** True: there is a new reading. */
  async readIfDue(): Promise<boolean> {
    const begun = this.#begunAt;
    // Half a tick of slack, so that a timer that fires a moment early does not skip a round.
    const due = begun === null || Math.abs(this.#now() - begun) >= this.#probe.everyMs - TICK_MS / 2;
    if (this.#running || !due) return false;
    this.#running = true;
    this.#begunAt = this.#now();
    try {
      this.#last = { reading: await this.#probe.read(), at: this.#now() };
    } catch {
      this.#last = null;
    } finally {
      this.#running = false;
    }
    return true;
  }
}
