import type { SessionKey } from "../../src-protocol/keys.ts";

/**
 * To which replica of the neighbouring stage a micro-batch goes. Only this node's own clock counts:
 * those of different computers are never compared.
 */

/** What this node knows of one replica. */
export interface ReplicaLoad {
  readonly sessionKey: SessionKey;
  /** What it works on a micro-batch, there and back, as it has told with its gradients; moving average, ms. */
  readonly workMs: number;
  /** What was sent to it by this node, and has not come back as a gradient. */
  readonly waiting: number;
  /** What others had sent to it, and had not got back, when it answered last. */
  readonly othersWaiting: number;
  /** There and back on the link to it, ms. */
  readonly linkMs: number;
  /** In a row. */
  readonly failures: number;
  /** Not tried before; 0: at any time. */
  readonly asideUntil: number;
}

/** So many are compared all; of more, two that are drawn. */
const FEW = 64;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** The share of the newest measurement in the average. */
const NEWEST = 0.2;
/** SECURITY: nobody is taken for more than so many times as fast as the best of the others, whatever it tells. */
const MOST_TIMES = 8;

/**
 * When the replica would have done what it has, of this node and of others, by its own pace. When gradients come back says
 * nothing of that: it is as much the time of all stages behind it. `part`: of one more, in [0, 1): a number
 * that is drawn, so that senders who know the same do not all choose the same one.
 */
export function virtualFinish(load: ReplicaLoad, part: number): number {
  const { workMs, waiting, othersWaiting, linkMs } = load;
  return linkMs + (waiting + othersWaiting + part) * workMs;
}

/**
 * The replica with the earliest virtual finish time; of many, the better of two drawn at random
 * ("power of two choices"). Null: all are put aside.
 *
 * @param draw a number in [0, 1)
 */
export function route(replicas: readonly ReplicaLoad[], now: number, draw: () => number): SessionKey | null {
  const live = replicas.filter(({ asideUntil }) => asideUntil <= now);
  const compared = live.length <= FEW ? live : twoOf(live, draw);
  let best: { readonly sessionKey: SessionKey; readonly finish: number } | null = null;
  for (const load of compared) {
    const finish = virtualFinish(load, draw());
    if (best === null || finish < best.finish) best = { sessionKey: load.sessionKey, finish };
  }
  return best?.sessionKey ?? null;
}

function twoOf(live: readonly ReplicaLoad[], draw: () => number): readonly ReplicaLoad[] {
  const one = Math.floor(draw() * live.length);
  const step = 1 + Math.floor(draw() * (live.length - 1));
  return live.filter((_, index) => index === one || index === (one + step) % live.length);
}

export function afterSending(load: ReplicaLoad): ReplicaLoad {
  return { ...load, waiting: load.waiting + 1 };
}

export function afterAnswer(load: ReplicaLoad): ReplicaLoad {
  return { ...load, waiting: Math.max(0, load.waiting - 1), failures: 0, asideUntil: 0 };
}

/** It has told how many of others wait there; `linkMs`: null, that is not known (yet). */
export function afterQueue(load: ReplicaLoad, othersWaiting: number, linkMs: number | null): ReplicaLoad {
  return { ...load, othersWaiting, linkMs: linkMs ?? load.linkMs };
}

/** A step is over, or begun again: nothing is on its way. */
export function afterStep(load: ReplicaLoad): ReplicaLoad {
  return { ...load, waiting: 0, othersWaiting: 0 };
}

/** It has told what it works on a micro-batch; `isFirst`: nothing was known of it before. */
export function afterTelling(
  load: ReplicaLoad,
  toldMs: number,
  isFirst: boolean,
  others: readonly ReplicaLoad[],
): ReplicaLoad {
  const least = leastWork(others.filter(({ sessionKey }) => sessionKey !== load.sessionKey));
  const ms = Math.max(toldMs, least === null ? 0 : least / MOST_TIMES);
  return { ...load, workMs: isFirst ? ms : load.workMs + NEWEST * (ms - load.workMs) };
}

/** It is put aside at once and tried again after a pause that doubles each time. What it had in its queue is gone. */
export function afterFailure(load: ReplicaLoad, now: number): ReplicaLoad {
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(load.failures, 20));
  const failures = load.failures + 1;
  return { ...load, failures, asideUntil: now + pauseMs, waiting: 0, othersWaiting: 0 };
}

/** What is taken for a newcomer until it has told: it is as good as the best, so that it is tried. */
export function newcomer(
  sessionKey: SessionKey,
  others: readonly ReplicaLoad[],
  guessedMs: number,
): ReplicaLoad {
  const workMs = leastWork(others) ?? guessedMs;
  return { sessionKey, workMs, waiting: 0, othersWaiting: 0, linkMs: 0, failures: 0, asideUntil: 0 };
}

function leastWork(loads: readonly ReplicaLoad[]): number | null {
  return loads.reduce<number | null>(
    (least, { workMs }) => (least === null ? workMs : Math.min(least, workMs)),
    null,
  );
}
