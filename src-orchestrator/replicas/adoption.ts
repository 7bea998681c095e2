import type { SessionKey } from "../../src-protocol/keys.ts";
import { applyToStep } from "../routing/step-book.ts";
import { ask } from "./liveness.ts";
import { mayResumeIn, withMember } from "./members.ts";
import type { Member, ReplicaEffect, ReplicaEvent, ReplicaRun } from "./replica-run.ts";

/** A step waits so long for a replica that takes over the state and gets no more of it. */
export const ADOPT_STALL_MS = 5_000;

/** Whoever is there when the sums are asked for has part in them. */
export function mayJoin({ book, isHeld }: ReplicaRun): boolean {
  return !book.isCommitted || isHeld;
}

export function mayTakeOver({ silent, leaving }: ReplicaRun, key: SessionKey): boolean {
  return !silent.has(key) && !leaving.has(key);
}

/** Who is ready for it takes over the state of its stage, while the others work on the step. */
export function adopt(before: ReplicaRun, now: number, effects: ReplicaEffect[]): ReplicaRun {
  if (!mayJoin(before) || before.step === before.run.steps) return before;
  let run = before;
  for (const [key, member] of before.members) {
    const { stage, phase, notBefore } = member;
    const agreed = run.agreed[stage] ?? null;
    const isReady =
      phase === "warm" && notBefore <= now && !run.book.fenced.has(key) && mayTakeOver(run, key);
    if (!isReady || agreed === null || agreed.step !== run.step) continue;
    const from = giversFor(run, key, stage);
    if (from.length === 0) continue;
    const { step, link, stateSha256 } = agreed;
    const { generation } = run.signs;
    effects.push({
      type: "send",
      to: key,
      message: { type: "adopt", generation, step, link, stateSha256, from },
    });
    const [giver] = from;
    run = withMember(run, key, { ...member, phase: "adopting", since: now, ...(giver && { giver }) });
  }
  return run;
}

/** Who gives to the fewest newcomers first, and among those not the same one to each: the next ones give what is left. */
function giversFor({ book, members }: ReplicaRun, newcomer: SessionKey, stage: number): SessionKey[] {
  const live = [...(book.stages[stage]?.live ?? [])].sort();
  const first = Number.parseInt(newcomer.slice(0, 8), 16) % Math.max(1, live.length);
  const gives = (key: SessionKey): number =>
    [...members.values()].filter(({ phase, giver }) => phase === "adopting" && giver === key).length;
  const counts = new Map(live.map((key) => [key, gives(key)]));
  return [...live.slice(first), ...live.slice(0, first)].toSorted(
    (a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0),
  );
}

export function adopted(
  run: ReplicaRun,
  key: SessionKey,
  member: Member,
  step: number,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  if (member.phase !== "adopting") return run;
  const isInTime = step === run.step && mayJoin(run) && !run.book.fenced.has(key);
  // It is told to take over the state of the next step.
  const { resumes: _, ...others } = member;
  return isInTime
    ? joined(run, key, others, now, effects)
    : withMember(run, key, { ...member, phase: "warm" });
}

/**
 * It is loaded. Who was told to load the state of this very step, since it had that, works on it at once, or takes it
 * with the others, where it has the sum that they take it with; everybody else takes the state over from those who work.
 */
export function warm(
  run: ReplicaRun,
  { key, step, sumRound, now }: Extract<ReplicaEvent, { type: "warm" }>,
  effects: ReplicaEffect[],
): ReplicaRun {
  const member = run.members.get(key);
  if (member?.phase !== "loading") return run;
  const { resumes, ...others } = member;
  const isThere = step !== undefined && step === resumes && step === run.step && !run.book.fenced.has(key);
  const { isTaken } = run.book;
  const mayTake = mayResumeIn(run, member.stage) && sumRound === run.round;
  if (!isThere || !(isTaken ? mayTake : mayJoin(run)) || !mayTakeOver(run, key))
    // That it comes into a step that is taken was tried once.
    return withMember(run, key, { ...(isThere && isTaken ? member : others), phase: "warm" });
  const { generation } = run.signs;
  effects.push({ type: "send", to: key, message: { type: "open", generation, step } });
  const next = joined(run, key, others, now, effects, isTaken);
  if (isTaken) tellTake(next, key, effects);
  // Nobody was late while the stage had nobody.
  return isTaken ? { ...next, phaseSince: now } : next;
}

/** It takes the optimiser step. */
export function tellTake(run: ReplicaRun, to: SessionKey, effects: ReplicaEffect[]): void {
  const { signs, step, ties } = run;
  const { generation } = signs;
  const message = {
    type: "take",
    generation,
    step,
    ...(ties.length > 0 && { ties: [...ties] }),
  } as const;
  effects.push({ type: "send", to, message });
}

/** It has part in the step under way. */
function joined(
  run: ReplicaRun,
  key: SessionKey,
  member: Member,
  now: number,
  effects: ReplicaEffect[],
  hasSum = false,
): ReplicaRun {
  const { book } = applyToStep({ type: "joined", stage: member.stage, replica: key, hasSum }, run.book);
  effects.push({ type: "members" });
  return withMember(ask({ ...run, book }, [key], now, effects), key, { ...member, phase: "live" });
}
