import { MOST_REPLICAS } from "../../src-protocol/control.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";

/**
 * Which stage a computer works on where any number may share one: pure, and tested without a network. A
 * stage's projected capacity is what its computers will do of it in the next half hour, so that one that
 * has said when it ends counts for what is left of it. After SWARM (arXiv 2301.11913, section 3.2).
 */

/** How far ahead capacity is looked at. */
export const HORIZON_MS = 30 * 60_000;
/** From this ratio of the richest stage to the poorest on, a computer moves; and so much more is a stage given for owners' sake. */
export const RICH_RATIO = 1.25;
/** A move makes the poorer stage richer by so much at least: it costs the loading of a state. */
const LEAST_GAIN = 1.05;

export interface Placed {
  readonly key: SessionKey;
  readonly owner: Ss58Address;
  readonly stage: number;
  /** FLOPs a millisecond, measured in this run; null: not measured yet. */
  readonly speed: number | null;
  /** When its owner has said that it ends, by the orchestrator's steady clock; null: nothing was said. */
  readonly endsAt: number | null;
  /** It works on the stage; else it is loading it. */
  readonly isLive: boolean;
}

/** Everybody who has a stage. */
export interface Pools {
  /** Of one micro-batch, by stage. */
  readonly flops: readonly number[];
  readonly members: readonly Placed[];
  /** Computers that one stage may have. */
  readonly most: number;
  readonly now: number;
}

export type Newcomer = Pick<Placed, "owner"> & { readonly canHold: (stage: number) => boolean };

/**
 * The stage with the lowest projected capacity, of those that it has the memory for and that have room.
 * One that is at most `RICH_RATIO` above it is taken instead where that keeps the computers of one owner
 * apart: those of the same stage or of neighbouring ones vouch for one another. Null: there is none.
 */
export function stageFor({ owner, canHold }: Newcomer, pools: Pools): number | null {
  const { most, members } = pools;
  const counts = countsOf(pools);
  const capacities = capacitiesOf(pools);
  const open = capacities.flatMap((capacity, stage) =>
    (counts[stage] ?? 0) < most && canHold(stage) ? [{ capacity, stage, count: counts[stage] ?? 0 }] : [],
  );
  const [poorest] = open.toSorted(
    (a, b) => a.capacity - b.capacity || a.count - b.count || a.stage - b.stage,
  );
  if (poorest === undefined) return null;
  const near = (stage: number): boolean => isNearOwn(owner, stage, members);
  if (!near(poorest.stage)) return poorest.stage;
  const [apart] = open
    .filter(({ capacity, stage }) => capacity <= poorest.capacity * RICH_RATIO && !near(stage))
    .toSorted((a, b) => a.capacity - b.capacity || a.count - b.count || a.stage - b.stage);
  return (apart ?? poorest).stage;
}

export interface Move {
  readonly key: SessionKey;
  readonly to: number;
}

/**
 * The one computer whose move from a rich stage to the poorest makes the poorer of the two richest; null:
 * no two stages differ by more than `RICH_RATIO`, or no move helps. The stage that it leaves keeps
 * somebody who works and whose end is not near.
 *
 * Where the poorest has as many as it may, one changes places with its slowest: it comes first, so that the stage has
 * one too many for as long as that takes, and the slowest goes where there is room.
 */
export function moveFor(pools: Pools, canHold: CanHold): Move | null {
  const { most } = pools;
  const capacities = capacitiesOf(pools);
  const counts = countsOf(pools);
  const over = counts.findIndex((count) => count > most);
  if (over !== -1) return slowestFrom(over, pools, canHold);
  const poorestFirst = [...capacities.keys()].toSorted(
    (a, b) => (capacities[a] ?? 0) - (capacities[b] ?? 0) || a - b,
  );
  const [poorest] = poorestFirst;
  if (poorest === undefined) return null;
  const isFull = (stage: number): boolean => (counts[stage] ?? 0) >= most;
  const open = poorestFirst.find((stage) => !isFull(stage));
  if (poorest === open) return moveTo(poorest, 0, pools, canHold);
  const change = most < MOST_REPLICAS ? changeAt(poorest, pools, canHold) : null;
  return change ?? (open === undefined ? null : moveTo(open, 0, pools, canHold));
}

type CanHold = (key: SessionKey, stage: number) => boolean;

/** @param losing what `to` gives up for it: micro-batches a millisecond */
function moveTo(to: number, losing: number, pools: Pools, canHold: CanHold): Move | null {
  const { members, flops, now } = pools;
  const capacities = capacitiesOf(pools);
  const poor = capacities[to] ?? 0;
  const usual = usualSpeed(members);
  const staying = stayingOf(pools);
  let best: { readonly member: Placed; readonly poorer: number; readonly isNear: boolean } | null = null;
  for (const member of members) {
    const { stage, isLive, key, owner } = member;
    const rich = capacities[stage] ?? 0;
    if (stage === to || !isLive || rich <= poor * RICH_RATIO || !canHold(key, to)) continue;
    if ((staying[stage] ?? 0) - Number(stays(member, now)) < 1) continue;
    const work = (member.speed ?? usual) * shareLeft(member, now);
    const poorer = Math.min(rich - work / (flops[stage] ?? 1), poor - losing + work / (flops[to] ?? 1));
    if (poorer <= poor * LEAST_GAIN) continue;
    const isNear = isNearOwn(owner, to, members, key);
    const isBetter = best === null || (best.isNear !== isNear ? best.isNear : poorer > best.poorer);
    if (isBetter) best = { member, poorer, isNear };
  }
  return best === null ? null : { key: best.member.key, to };
}

/** The first half: a faster one for a stage that is full. */
function changeAt(to: number, pools: Pools, canHold: CanHold): Move | null {
  const slowest = slowestOf(to, pools);
  if (slowest === null) return null;
  const { members, flops, now } = pools;
  const losing = ((slowest.speed ?? usualSpeed(members)) * shareLeft(slowest, now)) / (flops[to] ?? 1);
  const move = moveTo(to, losing, pools, canHold);
  const from = members.find(({ key }) => key === move?.key)?.stage;
  // It must have somewhere to go then.
  return from !== undefined && canHold(slowest.key, from) ? move : null;
}

/** The second half: all of the stage work, one of them too many. */
function slowestFrom(stage: number, pools: Pools, canHold: CanHold): Move | null {
  const { members, most } = pools;
  if (members.filter((member) => member.stage === stage && member.isLive).length <= most) return null;
  const slowest = slowestOf(stage, pools);
  if (slowest === null) return null;
  const capacities = capacitiesOf(pools);
  const counts = countsOf(pools);
  const [to] = [...capacities.keys()]
    .filter((at) => at !== stage && (counts[at] ?? 0) < most && canHold(slowest.key, at))
    .toSorted((a, b) => (capacities[a] ?? 0) - (capacities[b] ?? 0) || a - b);
  return to === undefined ? null : { key: slowest.key, to };
}

/** Of those who work there and can be spared, who will do least; null: nobody can. */
function slowestOf(stage: number, pools: Pools): Placed | null {
  const { members, now } = pools;
  const usual = usualSpeed(members);
  const staying = stayingOf(pools)[stage] ?? 0;
  const work = (member: Placed): number => (member.speed ?? usual) * shareLeft(member, now);
  const [slowest] = members
    .filter((member) => member.stage === stage && member.isLive && staying - Number(stays(member, now)) >= 1)
    .toSorted((a, b) => work(a) - work(b) || (a.key < b.key ? -1 : 1));
  return slowest ?? null;
}

/** How many of each stage work and do not end soon. */
function stayingOf({ members, flops, now }: Pools): number[] {
  const staying = flops.map(() => 0);
  for (const member of members)
    if (stays(member, now)) staying[member.stage] = (staying[member.stage] ?? 0) + 1;
  return staying;
}

/** So long before the last computer of a stage ends, another one is there: it has a state to load. */
const COVER_MS = 10 * 60_000;

/**
 * A stage of which everybody ends soon gets somebody who stays, from a stage that keeps another one who
 * does: the richest. Null: no stage is in danger, or nobody can be spared.
 */
export function coverFor(pools: Pools, canHold: CanHold): Move | null {
  const { members, flops, most, now } = pools;
  const counts = countsOf(pools);
  const capacities = capacitiesOf(pools);
  const lasts = (member: Placed): boolean => (member.endsAt ?? Infinity) > now + COVER_MS;
  const lastEnd = flops.map((_, stage) =>
    Math.max(
      -Infinity,
      ...members.flatMap((each) => (each.stage === stage ? (each.endsAt ?? Infinity) : [])),
    ),
  );
  const endangered = [...flops.keys()]
    .filter((stage) => (lastEnd[stage] ?? 0) <= now + COVER_MS && (counts[stage] ?? 0) < most)
    .toSorted((a, b) => (lastEnd[a] ?? 0) - (lastEnd[b] ?? 0));
  for (const to of endangered) {
    const [best] = members
      .filter((member) => {
        const others = members.filter(({ stage, key }) => stage === member.stage && key !== member.key);
        const isSpared = others.some((other) => other.isLive && lasts(other));
        return member.stage !== to && member.isLive && lasts(member) && isSpared && canHold(member.key, to);
      })
      .toSorted(
        (a, b) => (capacities[b.stage] ?? 0) - (capacities[a.stage] ?? 0) || (a.key < b.key ? -1 : 1),
      );
    if (best !== undefined) return { key: best.key, to };
  }
  return null;
}

/** Micro-batches a millisecond that each stage will do, on average over the horizon. */
export function capacitiesOf({ flops, members, now }: Pools): number[] {
  const usual = usualSpeed(members);
  const capacities = flops.map(() => 0);
  for (const member of members) {
    const { stage, speed } = member;
    const done = ((speed ?? usual) * shareLeft(member, now)) / (flops[stage] ?? 1);
    capacities[stage] = (capacities[stage] ?? 0) + done;
  }
  return capacities;
}

function countsOf({ flops, members }: Pools): number[] {
  const counts = flops.map(() => 0);
  for (const { stage } of members) counts[stage] = (counts[stage] ?? 0) + 1;
  return counts;
}

/** What is left of the horizon until its owner's end: 0 to 1. */
function shareLeft({ endsAt }: Placed, now: number): number {
  return endsAt === null ? 1 : Math.min(1, Math.max(0, (endsAt - now) / HORIZON_MS));
}

function stays(member: Placed, now: number): boolean {
  return member.isLive && shareLeft(member, now) === 1;
}

/** Who was not measured yet is taken for the median of those who were. */
function usualSpeed(members: readonly Placed[]): number {
  const known = members.flatMap(({ speed }) => speed ?? []).sort((a, b) => a - b);
  return known[Math.floor(known.length / 2)] ?? 1;
}

function isNearOwn(
  owner: Ss58Address,
  at: number,
  members: readonly Placed[],
  except: SessionKey | null = null,
): boolean {
  return members.some(
    (member) => member.owner === owner && member.key !== except && Math.abs(member.stage - at) <= 1,
  );
}
