import type { SessionKey } from "../../src-protocol/keys.ts";
import { entriesOf } from "./by-micro-batch.ts";
import type { ReplicaEffect, ReplicaRun } from "./replica-run.ts";

/**
 * Who lives, of those who hold a step up. Whoever has something to do and says nothing is asked, on its own
 * connection, and that is answered by any process that is not stopped, however slow it is at its work. So a
 * stopped computer is found long before it would be late, and a slow one never: how long an answer may take
 * goes by how long its own answers took, which a machine under load makes longer, too. Whoever was stopped says so
 * when it goes on, and is given no longer for that: the next time it is found as soon. SECURITY: who says so and
 * was not only shortens its own time.
 */

/** Of a step: passes, or its end, in which sums are hashed and added, and answers may take longer. */
type Part = "passes" | "end";

/** What is known of one replica's answers. */
export interface Life {
  /** When it last said or answered anything. */
  readonly heardAt: number;
  /** When it was asked last; null: never. */
  readonly askedAt: number | null;
  /** What it had to do when it was asked. */
  readonly askedIn: Part;
  /** About the longest of its answers that came in time, slowly forgotten; ms. Null: it has answered none. */
  readonly answerMs: Readonly<Record<Part, number | null>>;
  /** It is given so many times as long as that asks for, since answers came too late. */
  readonly grace: number;
  /** What that was before the answer that came last and too late; null: it came in time. */
  readonly graceBefore: number | null;
  /** It says that it stood still since it was asked. */
  readonly hasStood: boolean;
}

/** So long somebody who has something to do may say nothing before it is asked. */
const ASK_AFTER_MS = 300;
/** An answer may take so many times as long as its slowest ones, within these limits. */
const ANSWER_TIMES = 8;
const SHORTEST_SILENCE_MS = 800;
const LONGEST_SILENCE_MS = 5_000;
/** What is kept of the longest answer with each that was faster. */
const KEPT = 0.9;
/** An answer that came too late makes the time for the next ones so many times as long. */
const LONGER_AFTER_LATE = 1.5;
/** What is kept of that with each answer in time: under load it is late again before it has given many. */
const GRACE_KEPT = 0.7;
/** Several who are silent at once may be one stall of what they share: a computer, or a line. */
const LONGER_FOR_MANY = 2;
const AT_ONCE_MS = 250;
/** Who looks so much too late was stopped itself, and may have answers that it has not read. */
const OWN_LATENESS_MS = 500;

/** Anything that it says is a sign of life. */
export function heardFrom(run: ReplicaRun, key: SessionKey, now: number): ReplicaRun {
  return withLife(run, key, { ...(run.lives.get(key) ?? UNKNOWN), heardAt: now });
}

export function askedFor(run: ReplicaRun, key: SessionKey, now: number): ReplicaRun {
  const life = run.lives.get(key) ?? { ...UNKNOWN, heardAt: now };
  const askedIn = isEnding(run) ? "end" : "passes";
  return withLife(run, key, { ...life, heardAt: Math.min(life.heardAt, now), askedAt: now, askedIn });
}

/** It has answered, also when that was too late to count in this step: the next time it is given longer. */
export function answeredBy(run: ReplicaRun, key: SessionKey, now: number): ReplicaRun {
  const life = run.lives.get(key) ?? UNKNOWN;
  const took = life.askedAt === null ? 0 : now - life.askedAt;
  const heard = { ...life, heardAt: now, askedAt: null, graceBefore: null, hasStood: false };
  if (took > patienceMs(life)) {
    if (life.hasStood) return withLife(run, key, heard);
    const grace = Math.min(life.grace * LONGER_AFTER_LATE, LONGEST_SILENCE_MS / SHORTEST_SILENCE_MS);
    return withLife(run, key, { ...heard, grace, graceBefore: life.grace });
  }
  const { askedIn } = life;
  const answerMs = { ...life.answerMs, [askedIn]: Math.max(took, (life.answerMs[askedIn] ?? 0) * KEPT) };
  return withLife(run, key, { ...heard, answerMs, grace: 1 + (life.grace - 1) * GRACE_KEPT });
}

/** It was stopped, or slept, and goes on; its answer may be here already, or not yet. */
export function stoodStill(run: ReplicaRun, key: SessionKey): ReplicaRun {
  const life = run.lives.get(key);
  if (life === undefined) return run;
  const { graceBefore, askedAt } = life;
  if (graceBefore === null) return withLife(run, key, { ...life, hasStood: askedAt !== null });
  return withLife(run, key, { ...life, grace: graceBefore, graceBefore: null });
}

function withLife(run: ReplicaRun, key: SessionKey, life: Life): ReplicaRun {
  return { ...run, lives: new Map(run.lives).set(key, life) };
}

function patienceMs({ answerMs: all, askedIn, grace }: Life): number {
  const answerMs = all[askedIn];
  if (answerMs === null) return LONGEST_SILENCE_MS;
  return Math.min(LONGEST_SILENCE_MS, Math.max(SHORTEST_SILENCE_MS, answerMs * ANSWER_TIMES) * grace);
}

const UNKNOWN: Life = {
  heardAt: -Infinity,
  askedAt: null,
  askedIn: "passes",
  answerMs: { passes: null, end: null },
  grace: 1,
  graceBefore: null,
  hasStood: false,
};

/** When something is to be done about somebody who is waited for; null: nobody is. */
export function nextLook(run: ReplicaRun): number | null {
  let next: number | null = null;
  for (const [key, since, times] of looksOf(run)) {
    const { at } = dueOf(run.lives.get(key) ?? UNKNOWN, since, times);
    next = next === null ? at : Math.min(next, at);
  }
  return next;
}

export interface Look {
  /** To be asked now. */
  readonly ask: readonly SessionKey[];
  /** They were asked and have not answered. */
  readonly silent: readonly SessionKey[];
}

export function lookAround(run: ReplicaRun, now: number): Look {
  const ask: SessionKey[] = [];
  const silent: SessionKey[] = [];
  for (const [key, since, times] of looksOf(run)) {
    const { at, isAsked } = dueOf(run.lives.get(key) ?? UNKNOWN, since, times);
    if (now < at) continue;
    if (isAsked && now <= at + OWN_LATENESS_MS) silent.push(key);
    else ask.push(key);
  }
  return { ask, silent };
}

/** Whoever is waited for, since when, and how many times as long as by itself. */
function looksOf(run: ReplicaRun): (readonly [SessionKey, number, number])[] {
  const waiting = [...waitedFor(run)];
  const asked = waiting.map(([key]) => askedSince(run.lives.get(key) ?? UNKNOWN) ?? Infinity);
  // With the second that was asked there are several.
  let first = Infinity;
  let second = Infinity;
  for (const each of asked) {
    second = Math.min(second, Math.max(first, each));
    first = Math.min(first, each);
  }
  return waiting.map(([key, since], at) => {
    const many = second < Infinity && second <= (asked[at] ?? Infinity) + AT_ONCE_MS;
    return [key, since, many ? LONGER_FOR_MANY : 1] as const;
  });
}

/** Of an ask that is not answered; null: there is none. */
function askedSince({ heardAt, askedAt }: Life): number | null {
  return askedAt !== null && askedAt >= heardAt ? askedAt : null;
}

/** Those of whom no answer is awaited: another ask would only give them longer. */
export function toAsk(run: ReplicaRun, keys: readonly SessionKey[]): SessionKey[] {
  return keys.filter((key) => askedSince(run.lives.get(key) ?? UNKNOWN) === null);
}

function dueOf(life: Life, since: number, times: number): { readonly at: number; readonly isAsked: boolean } {
  const askedAt = askedSince(life);
  if (askedAt === null) return { at: Math.max(since, life.heardAt) + ASK_AFTER_MS, isAsked: false };
  return { at: Math.max(askedAt, since) + patienceMs(life) * times, isAsked: true };
}

/** All is counted, and nobody takes over the state any more: sums are added up, or the step is taken. */
function isEnding({ book, isHeld }: ReplicaRun): boolean {
  return book.isCommitted && !isHeld;
}

/** Whoever has to do something before the step goes on, and since when. */
function waitedFor(run: ReplicaRun): ReadonlyMap<SessionKey, number> {
  const all = new Map<SessionKey, number>();
  const wait = (key: SessionKey, since: number): void => {
    if (since < Infinity) all.set(key, Math.min(since, all.get(key) ?? Infinity));
  };
  const { book, evaluation, members, isHeld, phaseSince, lacking } = run;
  if (evaluation !== null && evaluation.waiting.length === 0)
    for (const [key, { phase }] of members) if (phase === "live") wait(key, evaluation.since);
  if (!book.isCommitted) {
    for (const [, { by, after, since }] of entriesOf(run.hops)) {
      wait(by, since);
      if (after !== null) wait(after, since);
    }
    return all;
  }
  if (isHeld) {
    for (const [key, { phase, since }] of members) if (phase === "adopting") wait(key, since);
    return all;
  }
  for (const { live, summed, results } of book.stages)
    for (const key of live) {
      if (book.isTaken ? results.has(key) : summed.has(key)) continue;
      for (const each of book.isTaken ? [key] : [key, ...(lacking.get(key) ?? [])])
        if (live.has(each)) wait(each, phaseSince + unmeasuredMs(run, each));
    }
  return all;
}

/** Until its answers at a step's end are measured it has the usual time first: the larger the sums are, the longer they are hashed. */
function unmeasuredMs({ lives, usual }: ReplicaRun, key: SessionKey): number {
  return (lives.get(key)?.answerMs.end ?? null) === null ? (usual.phase ?? Infinity) : 0;
}

/** These are to give a sign of life. */
export function ask(
  run: ReplicaRun,
  keys: readonly SessionKey[],
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  for (const to of keys) effects.push({ type: "ask", to });
  return keys.reduce((next, key) => askedFor(next, key, now), run);
}
