import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import {
  ALWAYS,
  type Decision,
  type Evidence,
  type EvidenceReport,
  type Limits,
  migratedRules,
  type Override,
  override as overrideSchema,
  REASONS,
  type Rules,
  rules as rulesSchema,
} from "../../src-protocol/policy.ts";
import { limitsAt } from "../../src-protocol/windows.ts";
import { ownTimeZone } from "../../src-protocol/zone.ts";
import { EvidenceWatch } from "../evidence/evidence-watch.ts";
import { missingEvidence, type Missing } from "../evidence/missing-evidence.ts";
import { type Probes, systemProbes } from "../evidence/probes.ts";
import { decide, nextReview } from "./decide.ts";
import { endsAt } from "./ending.ts";
import { afterDecision, NOTHING_REMEMBERED, type PolicyMemory, remember } from "./policy-memory.ts";
import { type StoredJson, storedJson } from "./stored-json.ts";
import { type Cancel, systemTimers, type Timers } from "./timers.ts";

/** A timer stands still while the computer sleeps and knows nothing of a clock that is set. */
const RECHECK_MS = 30_000;
const MOST_MINUTES = 7 * 24 * 60;
/** An agent that restarts comes back within this; one that is gone for longer has left. */
const LEASE_GRACE_MS = 30_000;

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
  /** Bytes sent and received since the month began that holds `at`; null: not known. */
  monthBytes?: (zone: string, at: number) => number | null;
  /** What the data folder takes; null: not known. */
  folderBytes?: () => number | null;
}

export interface PolicyState {
  readonly decision: Decision;
  readonly rules: Rules;
  readonly override: Override | null;
  /** What is asked of it now. */
  readonly limits: Limits;
  readonly zone: string;
  readonly missing: readonly Missing[];
  /** On mains, as far as is known. */
  readonly onMains: boolean;
}

/** A manual pause or start, as it is asked for. */
export interface Asked {
  /** Null: a pause until somebody ends it. */
  readonly minutes: number | null;
  readonly by: Override["by"];
  readonly lease?: NonNullable<Override["lease"]>;
  readonly thenQuit?: boolean;
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
  readonly #monthBytes: NonNullable<PolicyKeeperOptions["monthBytes"]>;
  readonly #folderBytes: () => number | null;
  readonly #probes: Probes;
  readonly #rulesFile: StoredJson<Rules>;
  readonly #overrideFile: StoredJson<Override>;
  readonly #watch: EvidenceWatch;
  readonly #handlers = new Set<(state: PolicyState) => void>();
  readonly #endings = new Set<(ended: Override, byItself: boolean) => void>();
  #begun: boolean;
  #rules: Rules;
  #override: Override | null;
  #memory: PolicyMemory = NOTHING_REMEMBERED;
  #decision: Decision;
  #told: PolicyState;
  #alarm: { at: number; cancel: Cancel } | null = null;
  #recheck: Cancel | null = null;
  /** Agents that are connected, by the id of their lease. */
  readonly #agents = new Map<string, number>();
  #agentGone: Cancel | null = null;

  constructor(options: PolicyKeeperOptions) {
    this.#now = options.now ?? Date.now;
    this.#timers = options.timers ?? systemTimers;
    this.#zone = options.zone ?? ownTimeZone;
    this.#begun = options.begun ?? true;
    this.#monthBytes = options.monthBytes ?? (() => null);
    this.#folderBytes = options.folderBytes ?? (() => null);
    this.#probes = options.probes ?? systemProbes();
    const stored = z.preprocess(migratedRules, rulesSchema);
    this.#rulesFile = storedJson(join(options.folder, "rules.json"), stored, "the rules");
    this.#overrideFile = storedJson(
      join(options.folder, "override.json"),
      overrideSchema,
      "the manual pause or start",
    );
    this.#rules = this.#rulesFile.read() ?? options.defaultRules ?? ALWAYS;
    this.#override = this.#overrideFile.read();
    this.#watch = new EvidenceWatch({
      probes: this.#probes,
      now: this.#now,
      timers: this.#timers,
      onEvidence: () => this.#refresh(),
    });
    this.#decision = this.#decide();
    this.#told = this.#state();
    this.#refresh();
    // Its agent may have ended while nobody was here to see it.
    if (this.#override?.lease !== undefined) this.#waitForAgent();
  }

  get rules(): Rules {
    return this.#rules;
  }

  get override(): Override | null {
    return this.#override;
  }

  get evidence(): Evidence {
    const evidence = this.#watch.evidence();
    const where = this.zone;
    return {
      ...evidence,
      monthBytes: evidence.monthBytes ?? this.#monthBytes(where, this.#now()),
      folderBytes: evidence.folderBytes ?? this.#folderBytes(),
    };
  }

  get decision(): Decision {
    return this.#decision;
  }

  get zone(): string {
    return this.#rules.timeZone ?? this.#zone();
  }

  get limits(): Limits {
    return limitsAt(this.#rules, this.zone, this.#now());
  }

  /** When it stops working, as far as is known; Unix milliseconds. */
  get endsAt(): number | null {
    return endsAt(this.#decision, this.#override);
  }

  get missing(): readonly Missing[] {
    return missingEvidence(this.#rules, this.evidence, this.#probes.idleNote?.() ?? null);
  }

  get onMains(): boolean {
    return this.#watch.evidence().power === "mains";
  }

  /** Called after each change of decision, rules, override or limits. */
  onDecision(handler: (state: PolicyState) => void): Cancel {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  /** Called when a manual start has ended; by itself: by its time, or because its agent is gone. */
  onRunEnded(handler: (ended: Override, byItself: boolean) => void): void {
    this.#endings.add(handler);
  }

  pause(asked: Asked): Decision {
    return this.#overrideFor("pause", asked);
  }

  start(asked: Asked): Decision {
    if (asked.minutes === null)
      throw new Failure("end-needed", "A manual start needs an end. Say for how long, or until when.");
    return this.#overrideFor("run", asked);
  }

  /** Finishes the step in hand, then pauses. What does not run has nothing to finish. */
  finish(asked: Asked): Decision {
    return this.#overrideFor(this.#decision.action === "run" ? "finish" : "pause", asked);
  }

  /** A step is done, or none is in hand: what was to follow it begins. */
  stepFinished(): void {
    if (this.#override?.action !== "finish") return;
    this.#override = { ...this.#override, action: "pause" };
    this.#refresh();
    this.#storeQuietly();
  }

  /** The owner has said yes. */
  begin(): Decision {
    this.#begun = true;
    return this.#refresh();
  }

  /** Ends a pause or a start: the rules apply again. */
  resume(): Decision {
    const before = this.#override;
    this.#override = null;
    this.#forgetInterruptions();
    const decision = this.#refresh();
    this.#tellEnded(before, false);
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
    this.#forgetInterruptions();
    return this.#refresh();
  }

  /** What the shell knows; for a minute it counts more than this process's own probes. */
  reportEvidence(report: EvidenceReport): Decision {
    this.#watch.report(report);
    return this.#refresh();
  }

  /** An agent has connected, or a connection of it has ended. What it started ends soon after the last. */
  agentHere(id: string, here: boolean): void {
    const count = (this.#agents.get(id) ?? 0) + (here ? 1 : -1);
    if (count > 0) this.#agents.set(id, count);
    else this.#agents.delete(id);
    if (this.#override?.lease?.id === id && count <= 0) this.#waitForAgent();
  }

  /** The zone of the computer has changed, or its clock. */
  look(): void {
    this.#refresh();
  }

  close(): void {
    this.#watch.close();
    this.#alarm?.cancel();
    this.#recheck?.();
    this.#agentGone?.();
    this.#alarm = null;
    this.#recheck = null;
    this.#agentGone = null;
    this.#handlers.clear();
    this.#endings.clear();
  }

  #overrideFor(action: Override["action"], { minutes, by, lease, thenQuit }: Asked): Decision {
    if (minutes !== null && (!Number.isFinite(minutes) || minutes < 1 || minutes > MOST_MINUTES)) {
      throw new Failure(
        "minutes-out-of-range",
        `A ${action === "run" ? "manual start" : "pause"} lasts from 1 minute to 7 days (${MOST_MINUTES} minutes), not ${minutes}.`,
      );
    }
    const since = this.#now();
    this.#tellEnded(this.#override, false);
    this.#override = {
      action,
      since,
      until: minutes === null ? null : since + Math.round(minutes * 60_000),
      by,
      ...(lease === undefined ? {} : { lease }),
      ...(thenQuit === true ? { thenQuit } : {}),
    };
    const decision = this.#refresh();
    if (lease !== undefined && !this.#agents.has(lease.id)) this.#waitForAgent();
    this.#storeOverride(action === "run" ? "The start holds now" : "The pause holds now");
    return decision;
  }

  /** Who has just decided wants to see it happen. */
  #forgetInterruptions(): void {
    this.#memory = { ...this.#memory, starts: [] };
  }

  #waitForAgent(): void {
    this.#agentGone?.();
    this.#agentGone = this.#timers.at(this.#now() + LEASE_GRACE_MS, () => {
      this.#agentGone = null;
      const override = this.#override;
      // A pause stays as long as was said: that is the safe side.
      if (override?.lease === undefined || override.action !== "run") return;
      if (this.#agents.has(override.lease.id)) return;
      this.#end(override);
      this.#refresh();
    });
  }

  #end(override: Override): void {
    this.#override = null;
    this.#storeQuietly();
    this.#tellEnded(override, true);
  }

  #tellEnded(override: Override | null, byItself: boolean): void {
    if (override?.action === "run") for (const handler of this.#endings) handler(override, byItself);
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

  #storeQuietly(): void {
    try {
      this.#storeOverride("It is settled");
    } catch {
      // Nobody asked for this write; what is stored is settled in the same way when it is next read.
    }
  }

  #settleOverride(now: number): void {
    const manual = this.#override;
    if (manual === null) return;
    if (manual.until !== null && manual.until <= now) {
      this.#end(manual);
    } else if (manual.since > now + 60_000) {
      // The clock was set back: without this a pause of an hour could last for years.
      const until = manual.until === null ? null : now + (manual.until - manual.since);
      this.#override = { ...manual, since: now, until };
      this.#storeQuietly();
    }
  }

  #decide(): Decision {
    const now = this.#now();
    this.#settleOverride(now);
    if (!this.#begun) return { action: "pause", reasons: ["not-set-up"], nextChange: null };
    const { evidence } = this;
    const memory = remember(this.#rules, evidence, this.#memory, now);
    const decision = decide(this.#rules, evidence, this.#override, now, this.zone, memory);
    const interrupted = this.#decision?.reasons.some(
      (code) => REASONS[code].verdict === "pause" && !BY_HAND_OR_CLOCK.has(code),
    );
    this.#memory = afterDecision(decision, memory, now, interrupted ?? false);
    return decision;
  }

  #state(): PolicyState {
    const { rules, override, limits, zone, missing, onMains } = this;
    return { decision: this.#decision, rules, override, limits, zone, missing, onMains };
  }

  #refresh(): Decision {
    this.#decision = this.#decide();
    this.#watch.need(this.#rules, this.#decision.action === "run");
    this.#setAlarm(nextReview(this.#rules, this.#override, this.#now(), this.zone, this.#memory));
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

/** A start after these is no sign of a restless evening. */
const BY_HAND_OR_CLOCK: ReadonlySet<string> = new Set(["manual-pause", "agent-pause", "outside-schedule"]);
