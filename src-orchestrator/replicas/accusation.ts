import type { SessionKey } from "../../src-protocol/keys.ts";
import { ownerAt } from "../routing/step-book.ts";
import type { Member, ReplicaMessage, ReplicaRun } from "./replica-run.ts";

/** What follows from it: nothing, or who is fenced and why; `paused`: who takes the state over is not believed. */
export type AccusationVerdict =
  | { readonly type: "nothing" }
  | { readonly type: "paused"; readonly run: ReplicaRun }
  | { readonly type: "fence"; readonly run: ReplicaRun; readonly key: SessionKey; readonly code: string };

const NOTHING: AccusationVerdict = { type: "nothing" };

/** A peer's word against another's, unless the book knows better. */
export function judgeAccusation(
  run: ReplicaRun,
  by: SessionKey,
  member: Member,
  { step, replica, microBatch, code }: Extract<ReplicaMessage, { type: "accuse" }>,
): AccusationVerdict {
  if (step !== run.step) return NOTHING;
  if (replica === by) {
    if (member.phase === "adopting") return { type: "paused", run };
    return member.phase === "live" ? { type: "fence", run, key: by, code } : NOTHING;
  }
  const its = run.members.get(replica);
  if (its?.phase !== "live" || Math.abs(its.stage - member.stage) > 1) return NOTHING;
  // Who takes the state over can say one thing only: that what it was given is not what all agreed on.
  const isTakingOver = member.phase === "adopting" && code === "wrong-state" && its.stage === member.stage;
  if (member.phase !== "live" && !isTakingOver) return NOTHING;
  let name = code;
  if (code === "not-its-micro-batch") {
    const owner = ownerAt(run.book, its.stage, microBatch ?? -1);
    if (microBatch === null || owner === null) return NOTHING;
    if (owner !== replica) return { type: "fence", run, key: replica, code };
    // It owns it, and is said to have sent it to one more than it told.
    if (its.stage >= member.stage || ownerAt(run.book, member.stage, microBatch) === by) return NOTHING;
    name = "sent-to-two";
  }
  const others = run.accused.get(by) ?? new Set<SessionKey>();
  const next = { ...run, accused: new Map(run.accused).set(by, new Set([...others, replica])) };
  const alone = (stage: number): boolean => run.book.stages[stage]?.live.size === 1;
  // SECURITY: nobody can say which of the two lies. Who accuses a second one in the same step is doubted itself,
  // and so is whoever would take a stage's last replica away.
  const isLast = alone(its.stage) && (isTakingOver || !alone(member.stage));
  const isDoubted = isLast || [...others].some((key) => key !== replica);
  if (isDoubted && isTakingOver) return { type: "paused", run: next };
  return isDoubted
    ? { type: "fence", run: next, key: by, code: "accuses-others" }
    : { type: "fence", run: next, key: replica, code: name };
}
