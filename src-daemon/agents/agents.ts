import { join } from "node:path";
import { z } from "zod";
import type { AgentBudget } from "../../src-protocol/agent-budget.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { Override, Rules } from "../../src-protocol/policy.ts";
import { momentText } from "../../src-protocol/reason-text.ts";
import { localTime } from "../../src-protocol/zone.ts";
import { type StoredJson, storedJson } from "../policy/stored-json.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const spent = z.record(
  z.string(),
  z.strictObject({
    /** Unix ms of the changes in the last hour. */
    calls: z.array(z.int()),
    /** Days since 1970 on the computer's calendar. */
    day: z.int(),
    minutes: z.int().nonnegative(),
  }),
);
type Spent = z.infer<typeof spent>;

/** Whoever calls with a token. */
export interface Agent {
  readonly id: string;
  readonly name: string;
}

export interface AgentsPorts {
  readonly folder: string;
  readonly now: () => number;
  readonly zone: () => string;
  readonly override: () => Override | null;
  /** What was granted; null: there is no such token any more. */
  readonly budget: (id: string) => AgentBudget | null;
}

/**
 * What agents may do beyond their scopes: they have a budget, they end what they have begun and nothing
 * else, and no rule that keeps the computer safe is theirs to loosen. What was spent survives a restart.
 */
export class Agents {
  readonly #ports: AgentsPorts;
  readonly #file: StoredJson<Spent>;
  #spent: Spent;

  constructor(ports: AgentsPorts) {
    this.#ports = ports;
    this.#file = storedJson(join(ports.folder, "agents.json"), spent, "what agents have spent");
    this.#spent = readOrNothing(this.#file);
  }

  /** Before a change: throws when the owner has decided otherwise, or the hour's budget is spent. */
  mayChange(agent: Agent): void {
    const { now, zone, override } = this.#ports;
    const decided = override();
    if (decided !== null && decided.lease?.id !== agent.id) {
      const who =
        decided.by === "agent" ? `Another agent (${decided.lease?.name ?? "unknown"})` : "The owner";
      const done = decided.action === "run" ? "started" : "paused";
      const until =
        decided.until === null ? "until it is resumed" : `until ${momentText(decided.until, now(), zone())}`;
      throw new Failure(
        "owner-decided",
        `${who} has ${done} it ${until}. An agent cannot change that; ask the owner, or wait.`,
      );
    }
    const account = this.#account(agent);
    const { callsPerHour } = this.#budget(agent);
    if (account.calls.length >= callsPerHour) {
      const [first = now()] = account.calls;
      throw new Failure(
        "budget-spent",
        `This agent may make ${callsPerHour} changes an hour, and has made them. The next one is possible at ${momentText(first + HOUR_MS, now(), zone())}.`,
      );
    }
    this.#keep(agent, { ...account, calls: [...account.calls, now()] });
  }

  /** Takes the minutes of a start from the day's budget; throws when so many are not left. */
  take(agent: Agent, asked: number): void {
    const minutes = Math.ceil(asked);
    const account = this.#account(agent);
    const { minutesPerDay } = this.#budget(agent);
    const left = minutesPerDay - account.minutes;
    if (minutes > left)
      throw new Failure(
        "budget-spent",
        `This agent may start ${minutesPerDay} minutes of work a day; ${Math.max(0, left)} are left today. Ask for less, or wait for tomorrow.`,
      );
    this.#keep(agent, { ...account, minutes: account.minutes + minutes });
  }

  /** What a start that ended early had left, if it was of today. */
  giveBack(ended: Override): void {
    const { lease, until, since } = ended;
    if (lease === undefined || until === null || ended.action !== "run") return;
    const account = this.#account(lease);
    if (this.#day(since) !== account.day) return;
    const left = Math.floor((until - this.#ports.now()) / 60_000);
    if (left > 0) this.#keep(lease, { ...account, minutes: Math.max(0, account.minutes - left) });
  }

  /** What is left to it now. */
  left(agent: Agent): { calls: number; minutes: number } {
    const { calls, minutes } = this.#account(agent);
    const { callsPerHour, minutesPerDay } = this.#budget(agent);
    return {
      calls: Math.max(0, callsPerHour - calls.length),
      minutes: Math.max(0, minutesPerDay - minutes),
    };
  }

  #budget({ id }: Agent): AgentBudget {
    // A token that is gone a moment later has nothing left.
    return this.#ports.budget(id) ?? { callsPerHour: 1, minutesPerDay: 0 };
  }

  #account({ id }: Agent): Spent[string] {
    const now = this.#ports.now();
    const day = this.#day(now);
    const known = this.#spent[id];
    return {
      calls: (known?.calls ?? []).filter((at) => at <= now && now < at + HOUR_MS),
      day,
      minutes: known?.day === day ? known.minutes : 0,
    };
  }

  #day(at: number): number {
    return Math.floor(localTime(this.#ports.zone(), at) / DAY_MS);
  }

  #keep({ id }: Agent, account: Spent[string]): void {
    const live = Object.entries(this.#spent).filter(([one]) => this.#ports.budget(one) !== null);
    this.#spent = { ...Object.fromEntries(live), [id]: account };
    this.#file.write(this.#spent);
  }
}

function readOrNothing(file: StoredJson<Spent>): Spent {
  try {
    return file.read() ?? {};
  } catch {
    // It is written anew with the next change; no agent gets more than one budget by that.
    return {};
  }
}

const SAFETY = ["onlyOnPower", "battery", "heat", "monthlyMegabytes", "diskMegabytes"] as const;

/** SECURITY: an agent that may write rules still never loosens those that keep the computer safe. */
export function refuseLooserSafety(before: Rules, after: Rules): void {
  const changed = SAFETY.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  if (changed.length === 0) return;
  throw new Failure(
    "owner-only-rule",
    `Power, battery, heat, the data cap and the disk quota are the owner's to change, and no agent's (${changed.join(", ")}).`,
  );
}
