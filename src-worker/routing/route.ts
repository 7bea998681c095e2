import type { SessionKey } from "../../src-protocol/keys.ts";

/**
 * To which replica of the neighbouring stage a micro-batch goes. Only this node's own clock counts:
 * those of different computers are never compared.
 */

/** What this node knows of one replica. */
export interface ReplicaLoad {
  readonly sessionKey: SessionKey;
  /** What it works on a micro-batch, there and back, as it has told; moving average, ms. */
  readonly workMs: number;
  /** What was sent to it by this node, and has not come back as a gradient. */
  readonly waiting: number;
  /** What was sent to it by this node in this step, and how much of that was there when it told last. */
  readonly sent: number;
  readonly taken: number;
  /** What it had to work on then, ms; and when that was, by this node's clock. */
  readonly backlogMs: number;
  readonly toldAt: number;
  /** There and back on the link to it, ms. */
  readonly linkMs: number;
  /** In a row. */
  readonly failures: number;
  /** Not tried before; 0: at any time. */
  readonly asideUntil: number;
}

/** So many are compared all; of more, some that are drawn: all senders would run to the same one. */
const FEW = 8;
const DRAWN = 4;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
const HALF = 0.5;
/** The share of the newest measurement in the average. */
const NEWEST = 0.2;
/** Nobody is taken for more than so many times as fast as the best of the others. */
const MOST_TIMES = 8;

/**
 * When the replica would have done what it has: what it has told, less the time that has passed since, and
 * what this node has sent that was not there yet. When gradients come back says nothing of that: it is as
 * much the time of all stages behind it. `part`: of one more, in [0, 1): a number that is drawn, so that
 * senders who know the same do not all choose the same one. `senders`: that send as much as this one at the same moment,
 * of which nothing was told yet.
 */
export function virtualFinish(load: ReplicaLoad, now: number, part: number, senders = 1): number {
  const { workMs, waiting, sent, taken, backlogMs, toldAt, linkMs } = load;
  const unseen = Math.min(waiting, sent - taken);
  return linkMs + Math.max(0, backlogMs - (now - toldAt)) + (unseen + part) * senders * workMs;
}

/**
 * The replica with the earliest virtual finish time; of many, the best of a few drawn at random ("power of
 * d choices"). Null: all are put aside.
 *
 * @param draw a number in [0, 1)
 * @param senders see `virtualFinish`
 */
export function route(
  replicas: readonly ReplicaLoad[],
  now: number,
  draw: () => number,
  senders = 1,
): SessionKey | null {
  const live = replicas.filter(({ asideUntil }) => asideUntil <= now);
  const compared = live.length <= FEW ? live : someOf(live, draw);
  // Each sender has few of a heap for each: one too many with a slow computer is one of all of them.
  const more = senders === 1 ? 0 : HALF;
  let best: { readonly sessionKey: SessionKey; readonly finish: number } | null = null;
  for (const load of compared) {
    const finish = virtualFinish(load, now, draw() + more, senders);
    if (best === null || finish < best.finish) best = { sessionKey: load.sessionKey, finish };
  }
  return best?.sessionKey ?? null;
}

function someOf(live: readonly ReplicaLoad[], draw: () => number): readonly ReplicaLoad[] {
  const chosen = new Set<number>();
  // The draw counts the places that are not taken yet.
  for (let i = 0; i < DRAWN; i++) {
    let at = Math.floor(draw() * (live.length - i));
    for (const taken of [...chosen].toSorted((a, b) => a - b)) if (taken <= at) at += 1;
    chosen.add(at);
  }
  return live.filter((_, index) => chosen.has(index));
}

export function afterSending(load: ReplicaLoad): ReplicaLoad {
  return { ...load, waiting: load.waiting + 1, sent: load.sent + 1 };
}

export function afterAnswer(load: ReplicaLoad): ReplicaLoad {
  return { ...load, waiting: Math.max(0, load.waiting - 1), failures: 0, asideUntil: 0 };
}

/** It has told what it has to do; `linkMs`: null, that is not known (yet). */
export function afterBacklog(
  load: ReplicaLoad,
  { backlogMs, taken }: { readonly backlogMs: number; readonly taken: number },
  linkMs: number | null,
  now: number,
): ReplicaLoad {
  // SECURITY: it has no more than it was sent.
  const seen = Math.min(load.sent, Math.max(load.taken, taken));
  return { ...load, backlogMs, taken: seen, toldAt: now, linkMs: linkMs ?? load.linkMs };
}

/** A step is over, or begun again: nothing is on its way. */
export function afterStep(load: ReplicaLoad): ReplicaLoad {
  return { ...load, ...EMPTY };
}

/** It has told what it works on a micro-batch; `isFirst`: nothing was known of it before. */
export function afterTelling(load: ReplicaLoad, ms: number, isFirst: boolean): ReplicaLoad {
  return { ...load, workMs: isFirst ? ms : load.workMs + NEWEST * (ms - load.workMs) };
}

/**
 * SECURITY: what it works on a micro-batch as it has told, and no less than an eighth of what the best of
 * the others does.
 *
 * @param others theirs, ms
 */
export function believable(toldMs: number, others: Iterable<number>): number {
  let least = Infinity;
  for (const ms of others) {
    // One that is near enough is proof; mostly it is the first.
    if (ms <= toldMs * MOST_TIMES) return toldMs;
    least = Math.min(least, ms);
  }
  return least === Infinity ? toldMs : least / MOST_TIMES;
}

const EMPTY = { waiting: 0, sent: 0, taken: 0, backlogMs: 0, toldAt: 0 };

/** It is put aside at once and tried again after a pause that doubles each time. What it had in its queue is gone. */
export function afterFailure(load: ReplicaLoad, now: number): ReplicaLoad {
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(load.failures, 20));
  const failures = load.failures + 1;
  return { ...load, ...EMPTY, failures, asideUntil: now + pauseMs };
}

/** What is taken for a newcomer until it has told: it is as good as the best, so that it is tried. */
export function newcomer(
  sessionKey: SessionKey,
  others: readonly ReplicaLoad[],
  guessedMs: number,
): ReplicaLoad {
  const workMs = leastWork(others) ?? guessedMs;
  return { sessionKey, workMs, ...EMPTY, linkMs: 0, failures: 0, asideUntil: 0 };
}

function leastWork(loads: readonly ReplicaLoad[]): number | null {
  return loads.reduce<number | null>(
    (least, { workMs }) => (least === null ? workMs : Math.min(least, workMs)),
    null,
  );
}
