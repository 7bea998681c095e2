import type { SessionKey } from "../../src-protocol/keys.ts";
import type { Candidate } from "./placement.ts";

/** Beginnings of an assignment that are looked at; then the best one that was found is taken. */
const MOST_LOOKS = 1_000;
/** Of those without a stage, so many are tried: whoever has thousands of computers makes this no slower. */
const MOST_OTHERS = 256;

export interface Movable {
  /** Its node goes nowhere else: it has something of the stage that others have not. */
  readonly isBound: (stage: number) => boolean;
  readonly mayHold: (node: Candidate, stage: number) => boolean;
  /** Nodes without a stage, the best first. */
  readonly spare: readonly Candidate[];
}

/**
 * The same assignment with as few neighbours of one owner as a bounded search finds: they would vouch for one
 * another, and are not paid for that. Nodes that nothing binds change places, or leave theirs to a spare one of no
 * less merit. What is as it should be stays as it is.
 */
export function apart(holders: readonly Candidate[], movable: Movable): readonly Candidate[] {
  const { isBound, mayHold } = movable;
  const free = holders.filter((_, stage) => !isBound(stage));
  const others = otherThan(free, movable.spare);
  const used = new Set<SessionKey>();
  const chosen: Candidate[] = [];
  const isOwn = (node: Candidate): boolean => chosen.at(-1)?.owner === node.owner;

  const choices = (stage: number): Candidate[] => {
    const now = holders[stage];
    if (now === undefined || isBound(stage)) return now === undefined ? [] : [now];
    const fits = (node: Candidate): boolean => !used.has(node.sessionKey) && mayHold(node, stage);
    const behind = isBound(stage + 1) ? holders[stage + 1]?.owner : null;
    const other = others.find((node) => !isOwn(node) && node.owner !== behind && fits(node));
    const able = [
      now,
      ...free.filter((node) => node !== now),
      ...(other === undefined ? [] : [other]),
    ].filter(fits);
    return able.sort((a, b) => Number(isOwn(a)) - Number(isOwn(b)));
  };

  let best = { holders, pairs: ownPairs(holders) };
  let looks = 0;
  const look = (pairs: number): void => {
    if (pairs >= best.pairs || looks >= MOST_LOOKS) return;
    looks++;
    if (chosen.length === holders.length) {
      best = { holders: [...chosen], pairs };
      return;
    }
    for (const node of choices(chosen.length)) {
      const more = Number(isOwn(node));
      used.add(node.sessionKey);
      chosen.push(node);
      look(pairs + more);
      chosen.pop();
      used.delete(node.sessionKey);
    }
  };
  look(0);
  return best.holders;
}

function ownPairs(holders: readonly Candidate[]): number {
  return holders.filter(({ owner }, stage) => stage > 0 && holders[stage - 1]?.owner === owner).length;
}

/** SECURITY: nobody gets a stage for owners' sake whose standing is below that of who would lose it. */
function otherThan(free: readonly Candidate[], spare: readonly Candidate[]): Candidate[] {
  const failures = Math.min(...free.map((node) => node.failures));
  const isTrusted = free.some((node) => node.isTrusted);
  const counts = new Map<string, number>();
  const others: Candidate[] = [];
  for (const node of spare) {
    if (others.length >= MOST_OTHERS) break;
    const count = counts.get(node.owner) ?? 0;
    const isWorse = node.failures > failures || (isTrusted && !node.isTrusted);
    if (isWorse || count >= free.length || free.includes(node)) continue;
    counts.set(node.owner, count + 1);
    others.push(node);
  }
  return others;
}
