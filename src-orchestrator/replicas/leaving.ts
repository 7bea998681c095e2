import type { SessionKey } from "../../src-protocol/keys.ts";
import type { Member, ReplicaRun } from "./replica-run.ts";

/**
 * Whose owner has said when it ends: it hands over before. Some time ahead it gets nothing new, finishes what
 * it has, and is no part of the next step, so that nothing of it has to be done again. Only where somebody
 * else of its stage stays longer; the last one works to its end, and placement moves another one there.
 */

const SHORTEST_MS = 10_000;
const LONGEST_MS = 10 * 60_000;
/** A step that is begun is finished, and taken: so many steps ahead nothing new is begun. */
const STEPS_AHEAD = 2;

/** So long before its end a replica gets nothing new. */
export function handOverMs({ usual }: Pick<ReplicaRun, "usual">): number {
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, (usual.step ?? 0) * STEPS_AHEAD));
}

type Ends = Pick<ReplicaRun, "ends" | "usual"> & {
  readonly members: ReadonlyMap<SessionKey, Pick<Member, "stage" | "phase">>;
};

const NOBODY: Pick<ReplicaRun, "nearEnd" | "leaving"> = { nearEnd: new Set(), leaving: new Set() };

/** Keys whose end is near, and of them those that get nothing new. */
export function endingAt(run: Ends, now: number): Pick<ReplicaRun, "nearEnd" | "leaving"> {
  if (run.ends.size === 0) return NOBODY;
  const ahead = handOverMs(run);
  const nearEnd = new Set<SessionKey>();
  const leaving = new Set<SessionKey>();
  for (const [key, end] of run.ends) {
    const member = run.members.get(key);
    if (member === undefined || now < end - ahead) continue;
    nearEnd.add(key);
    if (member.phase !== "live" || isReplaced(run, key, member.stage, end + ahead)) leaving.add(key);
  }
  return { nearEnd, leaving };
}

/** Another one of the stage works, and stays longer than that. */
function isReplaced({ members, ends }: Ends, key: SessionKey, stage: number, end: number): boolean {
  return [...members].some(
    ([other, member]) =>
      other !== key &&
      member.stage === stage &&
      member.phase === "live" &&
      (ends.get(other) ?? Infinity) > end,
  );
}

/** When somebody's end comes near; null: of nobody more is one known. */
export function nextEnding(run: ReplicaRun): number | null {
  const times = [...run.ends].flatMap(([key, end]) => (run.nearEnd.has(key) ? [] : [end - handOverMs(run)]));
  return times.length === 0 ? null : Math.min(...times);
}
