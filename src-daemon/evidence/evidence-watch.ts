import {
  type Evidence,
  type EvidenceReport,
  type Rules,
  UNKNOWN_EVIDENCE,
} from "../../src-protocol/policy.ts";
import { evidence as evidenceSchema } from "../../src-protocol/evidence.ts";
import type { Cancel, Timers } from "../policy/timers.ts";
import type { Probe } from "./probe.ts";
import type { Probes } from "./probes.ts";

/** A report from the shell counts for this long. */
export const REPORT_MS = 60_000;
const TICK_MS = 5000;
/** While it works and must not when somebody is there: a hand on the mouse stops it within a second. */
const FAST_TICK_MS = 500;
/** For learning hours alone. */
const SLOW_MS = 60_000;

export interface EvidenceWatchOptions {
  probes: Probes;
  now: () => number;
  timers: Pick<Timers, "every">;
  /** Called when the evidence may have changed. */
  onEvidence: () => void;
}

/** The rules that need evidence. */
export type EvidenceNeeds = Pick<
  Rules,
  | "onlyOnPower"
  | "onlyWhenIdle"
  | "battery"
  | "heat"
  | "load"
  | "apps"
  | "notOnMetered"
  | "notOnNetworks"
  | "keepAwake"
  | "learnHours"
>;

interface Source {
  /** What it is asked for. */
  readonly about: keyof Evidence;
  readonly round: ProbeRound<Partial<Evidence>>;
  /** How often now; null: nobody needs it. */
  everyMs(rules: EvidenceNeeds, working: boolean): number | null;
}

/**
 * Keeps what is known about the computer fresh while a rule needs it, and does nothing otherwise.
 * A reading that grew old counts as unknown, so a probe that hangs cannot keep work going.
 */
export class EvidenceWatch {
  readonly #now: () => number;
  readonly #timers: Pick<Timers, "every">;
  readonly #onEvidence: () => void;
  readonly #sources: readonly Source[];
  #report: { evidence: Evidence; at: number } | null = null;
  #rules: EvidenceNeeds | null = null;
  #working = false;
  #ticking: { everyMs: number; cancel: Cancel } | null = null;

  constructor({ probes, now, timers, onEvidence }: EvidenceWatchOptions) {
    this.#now = now;
    this.#timers = timers;
    this.#onEvidence = onEvidence;
    const source = <T>(
      about: keyof Evidence,
      probe: Probe<T> | undefined,
      part: (reading: T) => Partial<Evidence>,
      everyMs: (rules: EvidenceNeeds, working: boolean, usual: number) => number | null,
    ): Source[] => {
      if (probe === undefined) return [];
      const round = new ProbeRound(async () => part(await probe.read()), now);
      return [{ about, round, everyMs: (rules, working) => everyMs(rules, working, probe.everyMs) }];
    };
    const { power, idle, desktop, heat, load, apps, network } = probes;
    this.#sources = [
      ...source(
        "power",
        power,
        (reading) => reading,
        ({ onlyOnPower, battery, keepAwake }, _, usual) =>
          onlyOnPower || battery !== null || keepAwake ? usual : null,
      ),
      ...source(
        "idleSeconds",
        idle,
        (idleSeconds) => ({ idleSeconds }),
        ({ onlyWhenIdle, learnHours }, working, usual) =>
          onlyWhenIdle ? (working ? Math.min(usual, FAST_TICK_MS) : usual) : learnHours ? SLOW_MS : null,
      ),
      ...source(
        "screenLocked",
        desktop,
        (reading) => reading,
        ({ onlyWhenIdle }, _, usual) => (onlyWhenIdle ? usual : null),
      ),
      ...source(
        "celsius",
        heat,
        (celsius) => ({ celsius }),
        ({ heat: guard }, _, usual) => (guard === null ? null : usual),
      ),
      ...source(
        "othersLoad",
        load,
        (othersLoad) => ({ othersLoad }),
        ({ load: guard }, _, usual) => (guard === null ? null : usual),
      ),
      ...source(
        "appsRunning",
        apps && { everyMs: apps.everyMs, read: () => apps.read(this.#rules?.apps ?? []) },
        (appsRunning) => ({ appsRunning }),
        ({ apps: names }, _, usual) => (names.length === 0 ? null : usual),
      ),
      ...source(
        "metered",
        network,
        (reading) => reading,
        ({ notOnMetered, notOnNetworks }, _, usual) =>
          notOnMetered || notOnNetworks.length > 0 ? usual : null,
      ),
    ];
  }

  /** Probing begins at once when a rule comes to need it, and stops with the last such rule. */
  need(rules: EvidenceNeeds, working: boolean): void {
    const isNew = this.#rules !== rules;
    this.#rules = rules;
    this.#working = working;
    if (this.#sources.every((source) => source.everyMs(rules, working) === null)) return this.close();
    const everyMs = working && rules.onlyWhenIdle ? FAST_TICK_MS : TICK_MS;
    if (this.#ticking?.everyMs !== everyMs) {
      this.close();
      this.#ticking = { everyMs, cancel: this.#timers.every(everyMs, () => this.#tick()) };
    } else if (!isNew) return;
    this.#probe();
  }

  /** What the shell says, which knows the desktop best. What it calls unknown the probes may fill in. */
  report(report: EvidenceReport): void {
    this.#report = { evidence: evidenceSchema.parse(report), at: this.#now() };
  }

  evidence(): Evidence {
    const told = this.#fresh();
    const probed: Evidence = { ...UNKNOWN_EVIDENCE };
    for (const { round } of this.#sources) Object.assign(probed, round.reading());
    const known = Object.entries(told).filter(([name, value]) => value !== null && !name.startsWith("power"));
    // Power and level are one reading: the level of another source's battery would be another battery's.
    const power = told.power === "unknown" ? {} : { power: told.power, batteryPercent: told.batteryPercent };
    return { ...probed, ...Object.fromEntries(known), ...power };
  }

  close(): void {
    this.#ticking?.cancel();
    this.#ticking = null;
  }

  #fresh(): Evidence {
    if (this.#report === null) return UNKNOWN_EVIDENCE;
    const age = this.#now() - this.#report.at;
    return age >= 0 && age < REPORT_MS ? this.#report.evidence : UNKNOWN_EVIDENCE;
  }

  #tick(): void {
    this.#probe();
    // A report or reading may have grown old in the meantime.
    this.#onEvidence();
  }

  #probe(): void {
    const told = this.#fresh();
    for (const { about, round, everyMs } of this.#sources) {
      const pace = this.#rules === null ? null : everyMs(this.#rules, this.#working);
      // What the shell has just said need not be asked.
      if (pace === null || (told[about] !== null && told[about] !== "unknown")) continue;
      void round.readIfDue(pace).then((read) => {
        if (read && this.#ticking !== null) this.#onEvidence();
      });
    }
  }
}

/** One probe, its last reading and when it was taken. */
class ProbeRound<T extends Partial<Evidence>> {
  readonly #read: () => Promise<T>;
  readonly #now: () => number;
  #last: { reading: T; at: number } | null = null;
  #begunAt: number | null = null;
  #everyMs = TICK_MS;
  #running = false;

  constructor(read: () => Promise<T>, now: () => number) {
    this.#read = read;
    this.#now = now;
  }

  /** Null: none, or too old to be true. */
  reading(): T | null {
    if (this.#last === null) return null;
    const mostMs = 3 * this.#everyMs + TICK_MS;
    return Math.abs(this.#now() - this.#last.at) <= mostMs ? this.#last.reading : null;
  }

  /** True: there is a new reading. */
  async readIfDue(everyMs: number): Promise<boolean> {
    this.#everyMs = everyMs;
    const begun = this.#begunAt;
    // Slack, so that a timer that fires a moment early does not skip a round.
    const slack = Math.min(TICK_MS, everyMs) / 2;
    const due = begun === null || Math.abs(this.#now() - begun) >= everyMs - slack;
    if (this.#running || !due) return false;
    this.#running = true;
    this.#begunAt = this.#now();
    try {
      this.#last = { reading: await this.#read(), at: this.#now() };
    } catch {
      this.#last = null;
    } finally {
      this.#running = false;
    }
    return true;
  }
}
