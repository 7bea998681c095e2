import { heard, say } from "../src-protocol/say.ts";
import { duration, withPoint } from "../src-protocol/amounts.ts";
import { questionNews } from "../src-protocol/question-news.ts";
import type { ToldQuestion } from "../src-protocol/question-news.ts";
import type { DaemonState } from "../src-protocol/state.ts";
import { formatTao } from "../src-protocol/units.ts";
import { isWorking, situationText } from "../src-protocol/why.ts";
import type { TrayAction } from "./tray-view.ts";
import type { UpdateState } from "./updates.ts";

/** Something that its owner should hear of though no window is open. */
export interface Notice {
  readonly title: string;
  readonly body: string;
  /** Beside opening the dashboard, which a click on it does. */
  readonly action: { readonly label: string; readonly action: TrayAction } | null;
}

/** Shorter work is no report. */
const WORTH_A_REPORT_MS = 30 * 60_000;
/** What mends itself sooner is nobody's business. */
const TROUBLE_MS = 3 * 60_000;
const DAY_MS = 24 * 3_600_000;
/** On the computer's clock: nobody is woken. */
const QUIET_FROM = 22;
const QUIET_TO = 8;

interface Work {
  readonly since: number;
  readonly earnedRao: bigint;
}

/**
 * What is worth telling, from the daemon's states as they come: what a long stretch of work has brought, trouble
 * that does not mend itself, a decision that only they can take, and an update that waits. At night it is kept until the morning. A function of
 * what it is shown and of the times it is shown at.
 */
export class Notices {
  #work: Work | null = null;
  #trouble: { readonly code: string; readonly since: number } | null = null;
  #told = new Map<string, number>();
  #update: string | null = null;
  /** Told, or waiting to be told. */
  #asked: ToldQuestion | null = null;
  /** By kind: a newer one takes the place of an older one that was not told yet. */
  readonly #waiting = new Map<string, Notice>();

  /** @returns what is to be shown now, in order */
  follow(state: DaemonState | null, update: UpdateState, now: number): readonly Notice[] {
    if (state !== null) {
      this.#followWork(state, now);
      this.#followTrouble(state, now);
      this.#followQuestion(state, now);
    }
    if (update.kind === "ready" && update.version !== this.#update) {
      this.#update = update.version;
      this.#waiting.set("update", {
        title: say("Version {version} is here", { version: update.version }),
        body: say("It is put in place after the step in hand; nothing is lost."),
        action: { label: say("Update now"), action: { kind: "update" } },
      });
    }
    if (isQuiet(now)) return [];
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    return all;
  }

  #followWork(state: DaemonState, now: number): void {
    const works = isWorking(state);
    const { accruedRao, claimedRao, asset, asOf } = state.earnings;
    const earnedRao = BigInt(accruedRao) + BigInt(claimedRao);
    if (works) {
      this.#work ??= asOf === null ? null : { since: now, earnedRao };
      return;
    }
    // A pause ends a stretch of work; a lost neighbour does not.
    if (state.decision.action === "run" || this.#work === null) return;
    const { since, earnedRao: before } = this.#work;
    this.#work = null;
    if (now - since < WORTH_A_REPORT_MS) return;
    const earned = earnedRao > before ? earnedRao - before : 0n;
    const unit = asset === "test" ? say("test units (worth nothing)") : asset === "tao" ? "τ" : "α";
    this.#waiting.set("report", {
      title: say("It worked for {time}", { time: duration(now - since) }),
      body: `${say("{amount} {unit} pending.", { amount: withPoint(formatTao(earned)), unit })} ${situationText(state, now)}`,
      action: null,
    });
  }

  /** A network that is served from here stands still: once for each time that it does. */
  #followQuestion({ asked }: DaemonState, now: number): void {
    const { told, isNews } = questionNews(this.#asked, asked ?? null, now);
    this.#asked = told;
    // What its owner has not heard of yet is news when it comes back.
    if (asked === undefined && this.#waiting.delete("question")) this.#asked = null;
    if (asked === undefined || !isNews) return;
    this.#waiting.set("question", {
      title: say("{network} waits for your decision", { network: asked.network }),
      body: say(
        "It trains nothing: the computers with its newest work are away. Wait for them, or give up {count, plural, one {# step} other {# steps}}.",
        { count: asked.lostSteps },
      ),
      action: null,
    });
  }

  #followTrouble(state: DaemonState, now: number): void {
    const { problem } = state;
    if (problem === null) {
      this.#trouble = null;
      this.#waiting.delete("trouble");
      return;
    }
    if (this.#trouble?.code !== problem.code) this.#trouble = { code: problem.code, since: now };
    if (now - this.#trouble.since < TROUBLE_MS) return;
    const last = this.#told.get(problem.code);
    if (last !== undefined && now - last < DAY_MS) return;
    this.#told.set(problem.code, now);
    this.#waiting.set("trouble", {
      title: say("Train at Home needs you"),
      body: heard(problem.message),
      action: null,
    });
  }
}

function isQuiet(now: number): boolean {
  const hour = new Date(now).getHours();
  return hour >= QUIET_FROM || hour < QUIET_TO;
}
