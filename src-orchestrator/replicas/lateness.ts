import type { SessionKey } from "../../src-protocol/keys.ts";
import { OPEN, cellAt, changedCells } from "../routing/cells.ts";
import { cellOf, ownerAt } from "../routing/step-book.ts";
import type { StepBook } from "../routing/step-book.ts";
import { mayResumeIn } from "./members.ts";
import { entriesOf, valueAt, withValue } from "./by-micro-batch.ts";
import type { Hop, Pace, ReplicaRun } from "./replica-run.ts";

/**
 * Who holds a step up. Each micro-batch is with somebody who has to do something next; whoever takes many
 * times as long for that as it usually does is fenced, so that one that answers and never works, or
 * only very late, does not stop the others. A slow one is not late: it is given less. One that does not even
 * answer is found sooner: see `liveness.ts`.
 */

/** Shorter is no lateness: a computer may stop for a moment. */
const SHORTEST_MS = 2_000;
/** The same for one whose own pace is not known yet. */
const UNMEASURED_MS = 5_000;
/** SECURITY: nobody is late later for having got slower and slower, beyond so many times what is usual. */
const MOST_TIMES = 5;
/** Before anything is known. */
const FIRST_MS = 60_000;
const USUAL_TIMES = 15;
/** The end of a step takes longer the larger the sums are. */
const SHORTEST_PHASE_MS = 10_000;
const FIRST_PHASE_MS = 180_000;
const NEWEST = 0.1;

/** Passes after which a replica's pace is taken for what it can do, and of them those that are not in it. */
const MEASURED_PASSES = 8;
const COLD_PASSES = 2;

export function averaged(usual: number | null, ms: number): number {
  return usual === null ? ms : usual + NEWEST * (ms - usual);
}

export function evaluationPatienceMs({ usual }: ReplicaRun): number {
  return usual.hop === null ? FIRST_MS : Math.max(UNMEASURED_MS, usual.hop * USUAL_TIMES);
}

/**
 * When the replica is late with a micro-batch that it has had since then. Its own pace is the measure, and
 * whoever has just done another one is at work: what waits in its queue is not late.
 */
function lateWith(run: ReplicaRun, by: SessionKey, since: number): number {
  const { passMs = null, passes = 0, lastAt = since } = run.paces.get(by) ?? {};
  const { hop } = run.usual;
  if (hop === null || passMs === null || passes < MEASURED_PASSES) return since + evaluationPatienceMs(run);
  const own = Math.min(passMs, hop * MOST_TIMES);
  return Math.max(since, lastAt) + Math.max(SHORTEST_MS, own * USUAL_TIMES);
}

function phasePatienceMs({ usual }: ReplicaRun): number {
  return usual.phase === null ? FIRST_PHASE_MS : Math.max(SHORTEST_PHASE_MS, usual.phase * USUAL_TIMES);
}

/**
 * Where each micro-batch is now; when that has changed, it is since `now`. `before`: the book when that was asked
 * last. A step has thousands of micro-batches, so only those that something was told of are looked at.
 */
export function hopsAt(run: ReplicaRun, before: StepBook, now: number): ReplicaRun {
  if (run.book.isCommitted) return run.hops.length === 0 ? run : { ...run, hops: [] };
  if (run.book === before) return run;
  let { hops } = run;
  const paces = new Map(run.paces);
  let { hop: usual } = run.usual;
  for (const microBatch of toPlace(run.book, before)) {
    const place = placeOf(run.book, microBatch);
    const last = valueAt(hops, microBatch);
    if (last !== undefined && (last.by !== place?.by || last.after !== place.after)) {
      // What nobody waits for lies until there is time for it.
      if (!isAgainAt(run, last.by, microBatch)) usual = averaged(usual, now - last.since);
      if (run.members.get(last.by)?.phase === "live")
        paces.set(last.by, passed(paces.get(last.by), last.since, now));
    }
    if (place === null) {
      if (last !== undefined) hops = withValue(hops, microBatch, null);
      continue;
    }
    if (last?.by !== place.by || last.after !== place.after)
      hops = withValue(hops, microBatch, { ...place, since: now, late: last?.late ?? 0 });
  }
  return { ...run, hops, paces, usual: { ...run.usual, hop: usual } };
}

function isAgainAt({ book, members }: ReplicaRun, by: SessionKey, microBatch: number): boolean {
  const stage = members.get(by)?.stage;
  return stage !== undefined && cellOf(book, stage, microBatch)?.isAgain === true;
}

/** Micro-batches that may be elsewhere than they were; in the order of their numbers. */
function toPlace(book: StepBook, before: StepBook): Iterable<number> {
  const isBare = ({ stages }: StepBook, stage: number): boolean => stages[stage]?.live.size === 0;
  const isOther =
    book.step !== before.step ||
    before.isCommitted ||
    book.stages.some((_, stage) => isBare(book, stage) !== isBare(before, stage));
  if (isOther) return Array.from({ length: book.stages[0]?.cells.count ?? 0 }, (_, microBatch) => microBatch);
  const changed = book.stages.flatMap(({ cells }, stage) => {
    const its = before.stages[stage]?.cells;
    return its === undefined ? [] : [...changedCells(its, cells)];
  });
  return new Set(changed.toSorted((a, b) => a - b));
}

/**
 * One after another: what waited behind the pass before was not being worked on. The first ones, when nothing is in any
 * cache yet, say nothing of those that follow.
 */
function passed(pace: Pace | undefined, since: number, now: number): Pace {
  const { passMs = null, passes = 0, lastAt = since } = pace ?? {};
  const ms = now - Math.max(since, lastAt);
  const known = passes - COLD_PASSES;
  const part = Math.max(NEWEST, 1 / (known + 1));
  const mean = known < 0 ? null : passMs === null ? ms : passMs + part * (ms - passMs);
  return { passMs: mean, passes: passes + 1, lastAt: now };
}

/** What a replica takes for a micro-batch, there and back; ms. Null: it has not done enough yet. */
export function microBatchMs({ paces, members, stages }: ReplicaRun, key: SessionKey): number | null {
  const { passMs = null, passes = 0 } = paces.get(key) ?? {};
  if (passMs === null || passes < MEASURED_PASSES) return null;
  // At the tail, there and back is one.
  return Math.max(0.1, passMs) * (members.get(key)?.stage === stages - 1 ? 1 : 2);
}

/** Null: nobody has it, or all have counted it. */
function placeOf({ stages }: StepBook, microBatch: number): Pick<Hop, "by" | "after"> | null {
  let before: SessionKey | null = null;
  let open: SessionKey | null = null;
  for (const { cells, live } of stages) {
    const { owner, isCounted } = cellAt(cells, microBatch) ?? OPEN;
    // Nobody can send it on, or do it, before somebody holds that stage again.
    if (owner === null && live.size === 0) return null;
    // Whoever has it at the stage before has to send it on, perhaps again.
    if (owner === null) return before === null ? null : { by: before, after: null };
    // Everybody from here on has counted it: the one before has to take the gradient.
    if (isCounted && open !== null) return { by: open, after: owner };
    if (!isCounted) open = owner;
    before = owner;
  }
  return open === null ? null : { by: open, after: null };
}

/** When somebody becomes late; null: nobody can. */
export function lateAt(run: ReplicaRun): number | null {
  if (run.evaluation !== null && run.evaluation.waiting.length === 0)
    return run.evaluation.since + evaluationPatienceMs(run);
  if (run.book.isCommitted)
    return run.isHeld || isStoodBy(run) ? null : run.phaseSince + phasePatienceMs(run);
  let at = Infinity;
  for (const [, { by, since }] of entriesOf(run.hops)) at = Math.min(at, lateWith(run, by, since));
  return Number.isFinite(at) ? at : null;
}

/** A stage has nobody to take the step, and others may wait for what it gives. */
function isStoodBy(run: ReplicaRun): boolean {
  return run.book.stages.some(({ live }, stage) => live.size === 0 && mayResumeIn(run, stage));
}

export interface Late {
  readonly replica: SessionKey;
  readonly code: string;
  readonly microBatches: readonly number[];
  /** On whose word alone. */
  readonly accusers: readonly SessionKey[];
}

export function whoIsLate(run: ReplicaRun, now: number): readonly Late[] {
  if (run.book.isCommitted) {
    if (run.isHeld || isStoodBy(run) || now < run.phaseSince + phasePatienceMs(run)) return [];
    return run.book.stages.flatMap(({ live, summed, results }): Late[] => {
      if (!run.book.isTaken) return lateWithSums(run, live, summed);
      const late = [...live].filter((key) => !results.has(key));
      return late.map((replica) => ({ replica, code: "result-late", microBatches: [], accusers: [] }));
    });
  }
  const late: Waiting[] = [];
  for (const [microBatch, { by, after, since, late: times }] of entriesOf(run.hops))
    if (now >= lateWith(run, by, since))
      late.push({ microBatch, by, giver: after ?? giverTo(run, by, microBatch), isAgain: times % 2 === 1 });
  const named = new Map<SessionKey, number[]>();
  for (const each of late) {
    const replica = toBlame(each, late);
    named.set(replica, [...(named.get(replica) ?? []), each.microBatch]);
  }
  return [...named].map(([replica, microBatches]) => ({
    replica,
    code: "too-late",
    microBatches,
    accusers: [],
  }));
}

interface Waiting {
  readonly microBatch: number;
  readonly by: SessionKey;
  /** Who says that it has sent what `by` needs; null: nobody has to. */
  readonly giver: SessionKey | null;
  readonly isAgain: boolean;
}

function giverTo({ book, members }: ReplicaRun, by: SessionKey, microBatch: number): SessionKey | null {
  const stage = members.get(by)?.stage ?? 0;
  return ownerAt(book, stage - 1, microBatch);
}

/**
 * Whoever has said that it has sent something may not have. It is to blame when more wait for it than it is one
 * of that the other one keeps waiting, and else the second time.
 */
function toBlame({ by, giver, isAgain }: Waiting, all: readonly Waiting[]): SessionKey {
  if (giver === null) return by;
  const takers = new Set(all.flatMap((each) => (each.giver === giver ? [each.by] : [])));
  const givers = new Set(all.flatMap((each) => (each.by === by ? [each.giver] : [])));
  if (takers.size !== givers.size) return takers.size > givers.size ? giver : by;
  return isAgain ? giver : by;
}

/**
 * Whoever has not all sums waits for somebody, and says for whom: that one is late, when half of them say so.
 * SECURITY: the word of who has named another one in this step already counts for nothing.
 */
function lateWithSums(
  { lacking, accused }: ReplicaRun,
  live: ReadonlySet<SessionKey>,
  summed: ReadonlySet<SessionKey>,
): Late[] {
  const waiting = [...live].filter((key) => !summed.has(key));
  const named = new Map<SessionKey, SessionKey[]>();
  for (const key of waiting)
    for (const other of lacking.get(key) ?? []) {
      const isHeard = [...(accused.get(key) ?? [])].every((each) => each === other);
      if (isHeard && live.has(other)) named.set(other, [...(named.get(other) ?? []), key]);
    }
  const late = [...named].filter(([, accusers]) => accusers.length * 2 >= waiting.length);
  const of = late.length > 0 ? late : waiting.map((key) => [key, []] as const);
  return of.map(([replica, accusers]) => ({ replica, code: "sums-late", microBatches: [], accusers }));
}
