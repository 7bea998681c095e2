import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { Failure } from "../../src-protocol/failure.ts";
import {
  ALWAYS,
  type Decision,
  type Evidence,
  type Override,
  override as overrideSchema,
  type Rules,
  rules as rulesSchema,
} from "../../src-protocol/policy.ts";
import { ownTimeZone } from "../../src-protocol/zone.ts";
import { EvidenceWatch } from "../evidence/evidence-watch.ts";
import { type Probes, systemProbes } from "../evidence/probes.ts";
import { decide, nextReview } from "./decide.ts";
import { type StoredJson, storedJson } from "./stored-json.ts";
import { type Cancel, systemTimers, type Timers } from "./timers.ts";

/** A timer stands still while the computer sleeps and knows nothing of a clock that is set. */
const RECHECK_MS = 30_000;
const MOST_MINUTES = 7 * 24 * 60;

export interface PolicyKeeperOptions {
  /** The data folder; it exists. Holds `rules.json` and `override.json`. */
  folder: string;
  /** Rules for a folder that has none yet. */
  defaultRules?: Rules;
  /** Unix ms. */
  now?: () => number;
  timers?: Timers;
  probes?: Probes;
  /** The computer's own zone; asked again at every review, since computers travel. */
  zone?: () => string;
  /** Whether its owner has said yes; until `begin` nothing else decides. */
  begun?: boolean;
}

export interface PolicyState {
  readonly decision: Decision;
  readonly rules: Rules;
  readonly override: Override | null;
}

/**
 * Holds the rules, the override and the evidence, and keeps the decision right as they and the
 * time change. Opening throws a Failure for a stored file that cannot be understood: running with
 * other rules than the owner's is worse than not running.
 */
export class PolicyKeeper implements PolicyState {
  readonly #now: () => number;
  readonly #timers: Timers;
  readonly #zone: () => string;
  readonly #rulesFile: StoredJson<Rules>;
  readonly #overrideFile: StoredJson<Override>;
  readonly #watch: EvidenceWatch;
  readonly #handlers = new Set<(state: PolicyState) => void>();
  #begun: boolean;
  #rules: Rules;
  #override: Override | null;
  #decision: Decision;
  #told: PolicyState;
  #alarm: { at: number; cancel: Cancel } | null = null;
  #recheck: Cancel | null = null;

  constructor(options: PolicyKeeperOptions) {
    this.#now = options.now ?? Date.now;
    this.#timers = options.timers ?? systemTimers;
    this.#zone = options.zone ?? ownTimeZone;
    this.#begun = options.begun ?? true;
    this.#rulesFile = storedJson(join(options.folder, "rules.json"), rulesSchema, "the rules");
    this.#overrideFile = storedJson(
      join(options.folder, "override.json"),
      overrideSchema,
      "the manual pause or start",
    );
    this.#rules = this.#rulesFile.read() ?? options.defaultRules ?? ALWAYS;
    this.#override = this.#overrideFile.read();
    this.#watch = new EvidenceWatch({
      probes: options.probes ?? systemProbes(),
      now: this.#now,
      timers: this.#timers,
      onEvidence: () => this.#refresh(),
    });
    this.#decision = this.#decide();
    this.#told = this.#state();
    this.#watch.need(this.#rules);
    this.#refresh();
  }

  get rules(): Rules {
    return this.#rules;
  }

  get override(): Override | null {
    return this.#override;
  }

  get evidence(): Evidence {
    return this.#watch.evidence();
  }

  get decision(): Decision {
    return this.#decision;
  }

  /** Called after each change of decision, rules or override. */
  onDecision(handler: (state: PolicyState) => void): Cancel {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  pause(minutes: number, by: Override["by"]): Decision {
    return this.#overrideFor("pause", minutes, by);
  }

  start(minutes: number, by: Override["by"]): Decision {
    return this.#overrideFor("run", minutes, by);
  }

  /** The owner has said yes. */
  begin(): Decision {
    this.#begun = true;
    return this.#refresh();
  }

  /** Ends a pause or a start: the rules apply again. */
  resume(): Decision {
    this.#override = null;
    const decision = this.#refresh();
    this.#storeOverride("It has ended for now");
    return decision;
  }

  /** Rules take effect only when they are stored. */
  setRules(rules: Rules): Decision {
    const parsed = rulesSchema.safeParse(rules);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new Failure(
        "rules-invalid",
        `These rules cannot be used: ${issue?.path.join(".")}: ${issue?.message}. The old rules still apply.`,
      );
    }
    this.#rulesFile.write(parsed.data);
    this.#rules = parsed.data;
    this.#watch.need(this.#rules);
    return this.#refresh();
  }

  /** What the shell knows; for a minute it counts more than this process's own probes. */
  reportEvidence(evidence: Evidence): Decision {
    this.#watch.report(evidence);
    return this.#refresh();
  }

  close(): void {
    this.#watch.close();
    this.#alarm?.cancel();
    this.#recheck?.();
    this.#alarm = null;
    this.#recheck = null;
    this.#handlers.clear();
  }

  #overrideFor(action: Override["action"], minutes: number, by: Override["by"]): Decision {
    if (!Number.isInteger(minutes) || minutes < 1 || minutes > MOST_MINUTES) {
      throw new Failure(
        "minutes-out-of-range",
        `A ${action === "pause" ? "pause" : "manual start"} lasts from 1 minute to 7 days (${MOST_MINUTES} minutes), not ${minutes}.`,
      );
    }
    const since = this.#now();
    this.#override = { action, since, until: since + minutes * 60_000, by };
    const decision = this.#refresh();
    this.#storeOverride(action === "pause" ? "The pause holds now" : "The start holds now");
    return decision;
  }

  /** Who says "pause" gets a pause, even on a full disk; but the caller hears that it was not stored. */
  #storeOverride(holding: string): void {
    try {
      if (this.#override === null) this.#overrideFile.remove();
      else this.#overrideFile.write(this.#override);
    } catch (error) {
      throw new Failure(
        "override-not-stored",
        `${holding}, but a restart would not know of it: ${error instanceof Error ? error.message : error}`,
        { cause: error },
      );
    }
  }

  #settleOverride(now: number): void {
    const manual = this.#override;
    if (manual === null) return;
    if (manual.until <= now) {
      this.#override = null;
    } else if (manual.since > now + 60_000) {
      // The clock was set back: without this a pause of an hour could last for years.
      this.#override = { ...manual, since: now, until: now + (manual.until - manual.since) };
    } else {
      return;
    }
    try {
      this.#storeOverride("It is settled");
    } catch {
      // Nobody asked for this write; what is stored is settled in the same way when it is next read.
    }
  }

  #decide(): Decision {
    const now = this.#now();
    this.#settleOverride(now);
    if (!this.#begun) return { action: "pause", reasons: ["not-set-up"], nextChange: null };
    return decide(this.#rules, this.#watch.evidence(), this.#override, now, this.#zone());
  }

  #state(): PolicyState {
    return { decision: this.#decision, rules: this.#rules, override: this.#override };
  }

  #refresh(): Decision {
    this.#decision = this.#decide();
    this.#setAlarm(nextReview(this.#rules, this.#override, this.#now(), this.#zone()));
    const state = this.#state();
    if (!isDeepStrictEqual(state, this.#told)) {
      this.#told = state;
      for (const handler of this.#handlers) handler(state);
    }
    return this.#decision;
  }

  #setAlarm(at: number | null): void {
    if (this.#alarm?.at === at) return;
    this.#alarm?.cancel();
    this.#alarm = null;
    if (at === null) {
      this.#recheck?.();
      this.#recheck = null;
      return;
    }
    const wake = (): void => {
      this.#alarm = null;
      this.#refresh();
    };
    this.#alarm = { at, cancel: this.#timers.at(at, wake) };
    this.#recheck ??= this.#timers.every(RECHECK_MS, () => void this.#refresh());
  }
}
