import { heard, phrase, say } from "./say.ts";
import { NEWEST_WORK_AWAY, NO_SLICE_YET } from "./node-phase.ts";
import { networkWait } from "./network-text.ts";
import { byOwnClock } from "./own-clock.ts";
import { type Decision, type Override, REASONS, type ReasonCode } from "./policy.ts";
import { allOf, decidingReasons, explain, momentText } from "./reason-text.ts";
import type { DaemonState } from "./state.ts";
import { ownTimeZone } from "./zone.ts";

/**
 * What it is doing and why, in words: window, tray, terminal, CLI and agents all say this and nothing
 * else. "Working" means that it trains, not that it is allowed to.
 */

export type Tone = "working" | "getting-ready" | "waiting" | "paused" | "failed";

export const WORDS: Readonly<Record<Tone, string>> = {
  working: phrase("Working"),
  "getting-ready": phrase("Getting ready"),
  waiting: phrase("Waiting"),
  paused: phrase("Paused"),
  failed: phrase("Stopped"),
};

export interface Situation {
  readonly tone: Tone;
  /** Why, and what happens next: a sentence or two that follow the word and a colon. */
  readonly reason: string;
}

export type WhyState = Pick<
  DaemonState,
  "decision" | "override" | "node" | "run" | "network" | "policy" | "asked"
>;

export function situation(state: Omit<WhyState, "policy">, now: number, zone = ownTimeZone()): Situation {
  const { decision, override, node } = state;
  const because = afterWord(explain(decision, now, zone));
  if (node.phase === "failed")
    return { tone: "failed", reason: join(sentence(heard(node.detail)), later(because)) };
  if (node.phase === "ending") return { tone: "waiting", reason: say(ENDING) };
  if (decision.action === "pause") {
    return override !== null && override.action !== "run" && decision.reasons[0]?.endsWith("-pause") === true
      ? { tone: "paused", reason: pauseReason(decision, override, now, zone) }
      : { tone: "waiting", reason: because };
  }
  const wait = networkWait(state.network, now, zone);
  if (wait !== null) return { tone: "waiting", reason: afterWord(wait) };
  const homes = missingHomes(state, now, zone);
  if (homes !== null) return { tone: "waiting", reason: homes };
  if (node.phase === "waiting" && state.run?.phase === "finished")
    return { tone: "waiting", reason: lower(sentence(heard(state.run.detail))) };
  const goes = state.run?.phase === "training" || state.run?.phase === "forming";
  if (node.phase === "waiting" && node.detail === NO_SLICE_YET && state.run?.phase === "training")
    return { tone: "waiting", reason: say(WITHOUT_SLICE) };
  // Others go on, and it was told why without it: it is in reserve, put aside for a step, or its end is near.
  if (node.phase === "waiting" && node.detail !== NO_SLICE_YET && goes)
    return { tone: "waiting", reason: join(lower(sentence(heard(node.detail))), later(because)) };
  if (isWorking(state))
    return {
      tone: "working",
      reason: node.unpaid === undefined ? because : join(sentence(because), heard(node.unpaid)),
    };
  // Its own slice is loaded, and others still load theirs.
  const { detail } = node.phase === "training" && state.run !== null ? state.run : node;
  return { tone: "getting-ready", reason: join(sentence(heard(detail)), later(because)) };
}

/**
 * It trains, and is allowed to. A worker says "training" as soon as its own slice is loaded: whether the
 * pipeline goes, the network says.
 */
export function isWorking({ decision, node, run }: Pick<DaemonState, "decision" | "node" | "run">): boolean {
  const goes = run === null || run.phase === "training" || run.phase === "finished";
  return decision.action === "run" && node.phase === "training" && goes;
}

const ENDING = phrase("for what is under way to end; then everything stops.");

/** A network of an earlier version does not say why. */
const WITHOUT_SLICE = phrase(
  "others hold the slices, and it has none. It may get one where a computer is lost, and earns nothing meanwhile.",
);

/** "Working: nobody is using the computer. Until 07:00." */
export function situationText(state: Omit<WhyState, "policy">, now: number, zone = ownTimeZone()): string {
  const { tone, reason } = situation(state, now, zone);
  return `${say(WORDS[tone])}: ${reason}`;
}

/** A pause says when it ends, and then what follows. */
function pauseReason(decision: Decision, override: Override, now: number, zone: string): string {
  const isAgents = override.by === "agent";
  const { until } = override;
  if (until === null)
    return isAgents ? say("by your agent until you resume it.") : say("until you resume it.");
  const moment = momentText(until, now, zone);
  const end = isAgents
    ? say("by your agent until {moment}.", { moment })
    : say("until {moment}.", { moment });
  const { nextChange } = decision;
  if (nextChange?.at === until) return `${end} ${say("Then it goes on.")}`;
  if (nextChange !== null)
    return `${end} ${say("It starts again {when}.", { when: when(nextChange.at, now, zone) })}`;
  const others = decision.reasons
    .filter((code) => REASONS[code].verdict === "pause" && !code.endsWith("-pause"))
    .map((code) => say(REASONS[code].text));
  return others.length === 0 ? end : `${end} ${say("Then it waits: {reasons}.", { reasons: allOf(others) })}`;
}

function when(at: number, now: number, zone: string): string {
  const text = momentText(at, now, zone);
  return /^\d/.test(text) ? say("about {text}", { text }) : text;
}

/**
 * Nothing is wrong here, and nothing gets ready here: it is other homes that are waited for. In a network on this
 * computer alone that is a neighbour with the newest work; whatever else it waits for there is on its way.
 */
function missingHomes(
  { node, run, network, asked }: Omit<WhyState, "policy">,
  now: number,
  zone: string,
): string | null {
  if (run?.phase !== "waiting" || (node.phase !== "waiting" && node.phase !== "training")) return null;
  if (network.kind !== "remote" && !run.detail.startsWith(NEWEST_WORK_AWAY)) return null;
  if (asked !== undefined && asked.id === network.id)
    return say(
      "for your decision. Without the computers that are away, {count, plural, one {# step} other {# steps}} would be lost.",
      { count: asked.lostSteps },
    );
  const detail = byOwnClock(heard(run.detail), now, zone);
  const word = new RegExp(`^${say(WORDS.waiting)}:? `);
  return sentence(detail.replace(word, ""));
}

export interface WhyReason {
  readonly code: ReasonCode;
  readonly verdict: "run" | "pause";
  /** False: it applies too, and something stronger decides. */
  readonly decides: boolean;
  /** A sentence without its end: "It is outside your schedule". */
  readonly text: string;
}

export interface Why {
  readonly headline: string;
  readonly reasons: readonly WhyReason[];
  /** What time alone changes next. */
  readonly next: string;
  /** A pause or a start by hand or by an agent, with its end; null: there is none. */
  readonly override: string | null;
  /** What is wrong, what it cannot tell here, and other things worth knowing. */
  readonly notes: readonly string[];
}

/** All of it, in the order in which it counts. */
export function why(state: WhyState & Pick<DaemonState, "problem">, now: number, zone = ownTimeZone()): Why {
  const { decision, override, policy, node, problem } = state;
  return {
    headline: situationText(state, now, zone),
    reasons: whyReasons(decision),
    next: node.phase === "ending" ? say("Everything ends within seconds.") : nextText(state, now, zone),
    override: override === null ? null : overrideText(override, now, zone),
    notes: [
      ...(problem === null ? [] : [heard(problem.message)]),
      ...(node.refused === undefined ? [] : [heard(node.refused)]),
      ...policy.missing.map(({ text }) => text),
      ...(policy.awake.text === "" ? [] : [policy.awake.text]),
    ],
  };
}

export function whyReasons(decision: Decision): WhyReason[] {
  const deciding = decidingReasons(decision);
  return decision.reasons.map((code) => {
    const { verdict, text } = REASONS[code];
    return { code, verdict, decides: deciding.includes(code), text: capital(say(text)) };
  });
}

/** What time alone will change next, in a sentence. */
export function nextText(
  { decision: { nextChange, action }, override }: Pick<WhyState, "decision" | "override">,
  now: number,
  zone = ownTimeZone(),
): string {
  const end = override?.thenQuit === true && action === "run" ? override.until : null;
  if (end !== null && (nextChange === null || nextChange.at >= end))
    return say("Hands over and ends everything {when}.", { when: atMoment(end, now, zone) });
  if (nextChange === null)
    return action === "run"
      ? say("Goes on until you pause it or a rule holds it back.")
      : say("Starts when the reason above goes away, or when you start it.");
  const when = atMoment(nextChange.at, now, zone);
  return nextChange.action === "run" ? say("Starts {when}.", { when }) : say("Pauses {when}.", { when });
}

function atMoment(moment: number, now: number, zone: string): string {
  const at = momentText(moment, now, zone);
  const clock = at.slice(-5);
  const day = at.slice(0, -6);
  return day === "" ? say("at {clock}", { clock }) : say("{day} at {clock}", { day, clock });
}

/** What the worker says beside that; null: it has nothing to do, or goes on for a moment with a network that is away. */
export function workerText(
  { decision, node, network, run }: Pick<WhyState, "decision" | "node" | "network" | "run">,
  now: number,
): string | null {
  const isHeld = decision.action === "pause" || node.phase === "ending" || networkWait(network, now) !== null;
  // That its slice is trained is not true before all are loaded.
  const isEarly = node.phase === "training" && !isWorking({ decision, node, run });
  return isHeld || isEarly ? null : heard(node.detail);
}

const DONE = {
  run: phrase("Started"),
  finish: phrase("Finishing the step, then paused"),
  pause: phrase("Paused"),
} as const satisfies Record<Override["action"], string>;

/** "Paused by hand (cli) until Thursday 13:00, 40 h left." */
export function overrideText(override: Override, now: number, zone = ownTimeZone()): string {
  const { action, by, until, lease, thenQuit } = override;
  const done = say(DONE[action]);
  const who =
    by === "agent"
      ? say("by the agent {name}", { name: lease?.name ?? "" }).trim()
      : say("by hand ({by})", { by });
  if (until === null) return say("{done} {who} until you resume it.", { done, who });
  const moment = momentText(until, now, zone);
  return join(
    say("{done} {who} until {moment}, {left} left.", { done, who, moment, left: leftText(until - now) }),
    thenQuit === true ? say("Then everything ends.") : "",
    lease !== undefined && action === "run" ? say("It ends earlier when that agent is gone.") : "",
  );
}

/** Clocks of two processes, and the time between a call and its answer. */
const SLACK_MS = 10_000;

/** "28 min", "2 h", "2 h 5 min", "40 h": rounded up, so that it is never too short. */
export function leftText(ms: number): string {
  const minutes = Math.max(1, Math.ceil((ms - SLACK_MS) / 60_000));
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours === 0) return `${minutes} min`;
  return rest === 0 || hours >= 10 ? `${hours} h` : `${hours} h ${rest} min`;
}

/** What `tah why` prints and an agent is told. */
export function whyText({ headline, reasons, next, override, notes }: Why): string {
  const mark = ({ verdict, decides }: WhyReason): string =>
    decides ? (verdict === "run" ? "+" : "-") : verdict === "run" ? " " : "~";
  const aside = ({ verdict, decides }: WhyReason): string =>
    decides ? "" : verdict === "pause" ? " (overruled)" : " (not enough)";
  return [
    headline,
    ...reasons.map((reason) => `  ${mark(reason)} ${reason.text}${aside(reason)}`),
    `Next: ${next}`,
    ...(override === null ? [] : [`${override} \`tah resume\` ends that.`]),
    ...notes,
  ].join("\n");
}

function afterWord(text: string): string {
  return text.slice(text.indexOf(":") + 1).trim();
}

/** While it gets ready the cause is not news, but the end of the hours is. */
function later(because: string): string {
  const next = because.indexOf(". ");
  return next < 0 ? "" : because.slice(next + 2);
}

function join(...sentences: string[]): string {
  return sentences.filter((text) => text !== "").join(" ");
}

function sentence(text: string): string {
  const full = text.trim();
  return full === "" || full.endsWith(".") ? full : `${full}.`;
}

function lower(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
