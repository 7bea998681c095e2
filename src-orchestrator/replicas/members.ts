import type { SessionKey } from "../../src-protocol/keys.ts";
import type { Member, ReplicaRun } from "./replica-run.ts";

/** A replica that was fenced is given the state again after so long, twice as long each time in a row. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;

export function withMember(run: ReplicaRun, key: SessionKey, member: Member): ReplicaRun {
  return { ...run, members: new Map(run.members).set(key, member) };
}

/** It has no part in the step any more, and takes over the state of a later one. */
export function paused(member: Member, now: number): Member {
  const { faults } = member;
  return { ...member, phase: "warm", faults: faults + 1, notBefore: now + pauseMs(faults), since: now };
}

/** Each fault in a row doubles it. */
export function pauseMs(faults: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(Math.max(0, faults), 20));
}

/** Who works on each stage, in the order of their keys. */
export function liveKeys({ members, stages }: Pick<ReplicaRun, "members" | "stages">): SessionKey[][] {
  const live: SessionKey[][] = Array.from({ length: stages }, () => []);
  for (const [key, { stage, phase }] of members) if (phase === "live") live[stage]?.push(key);
  return live.map((keys) => keys.sort());
}

export function without(keys: ReadonlySet<SessionKey>, key: SessionKey): ReadonlySet<SessionKey> {
  return new Set([...keys].filter((each) => each !== key));
}

export function isSameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}

/** Whether there is something to do in the step under way for one who comes with the state that it began with. */
export function mayResumeIn({ book, agreed, step }: ReplicaRun, stage: number): boolean {
  return !book.isTaken || agreed[stage]?.step !== step + 1;
}
