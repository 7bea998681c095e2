import type { SessionKey } from "../../src-protocol/keys.ts";

/**
 * To which replica of the neighbouring stage a micro-batch goes. Only this node's own clock counts:
 * those of different computers are never compared.
 */

/** What this node has measured of one replica. */
export interface ReplicaLoad {
  readonly sessionKey: SessionKey;
  /** Moving average of the time from one answer to the next while it had work; ms a micro-batch. */
  readonly workMs: number;
  /** One way over the link, of one micro-batch; ms. */
  readonly linkMs: number;
  /** When it will have done what was sent to it, by `workMs`. */
  readonly freeAt: number;
  /** In a row. */
  readonly failures: number;
  /** Not tried before; 0: at any time. */
  readonly asideUntil: number;
}

/** So many are compared all; of more, two that are drawn. */
const FEW = 8;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** The share of the newest measurement in the average. */
const NEWEST = 0.2;

/** When the replica would have the micro-batch done that is sent to it now. */
export function virtualFinish({ workMs, linkMs, freeAt }: ReplicaLoad, now: number): number {
  return Math.max(freeAt, now + linkMs) + workMs;
}

/**
 * The replica with the earliest virtual finish time; of many, the better of two drawn at random
 * ("power of two choices"), so that not all senders choose the same one. Null: all are put aside.
 *
 * @param draw a number in [0, 1)
 */
export function route(replicas: readonly ReplicaLoad[], now: number, draw: () => number): SessionKey | null {
  const live = replicas.filter(({ asideUntil }) => asideUntil <= now);
  const compared = live.length <= FEW ? live : twoOf(live, draw);
  const [first, ...others] = compared;
  if (first === undefined) return null;
  return others.reduce(
    (best, each) => (virtualFinish(each, now) < virtualFinish(best, now) ? each : best),
    first,
  ).sessionKey;
}

function twoOf(live: readonly ReplicaLoad[], draw: () => number): readonly ReplicaLoad[] {
  const one = Math.floor(draw() * live.length);
  const step = 1 + Math.floor(draw() * (live.length - 1));
  return live.filter((_, index) => index === one || index === (one + step) % live.length);
}

export function afterSending(load: ReplicaLoad, now: number): ReplicaLoad {
  return { ...load, freeAt: virtualFinish(load, now) };
}

/** @param tookMs from the later of sending and its answer before, to its answer now */
export function afterAnswer(load: ReplicaLoad, tookMs: number): ReplicaLoad {
  const workMs = load.workMs + NEWEST * (Math.max(0, tookMs) - load.workMs);
  return { ...load, workMs, failures: 0, asideUntil: 0 };
}

/** It is put aside at once and tried again after a pause that doubles each time. What it had in its queue is gone. */
export function afterFailure(load: ReplicaLoad, now: number): ReplicaLoad {
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(load.failures, 20));
  return { ...load, failures: load.failures + 1, asideUntil: now + pauseMs, freeAt: now };
}

/** What is taken for a newcomer until it has been measured: it is as good as the best, so that it is tried. */
export function newcomer(sessionKey: SessionKey, others: readonly ReplicaLoad[], now: number): ReplicaLoad {
  const least = (of: (load: ReplicaLoad) => number): number =>
    others.reduce((least, load) => Math.min(least, of(load)), Infinity);
  const known = others.length > 0;
  return {
    sessionKey,
    workMs: known ? least(({ workMs }) => workMs) : 0,
    linkMs: known ? least(({ linkMs }) => linkMs) : 0,
    // Not earlier than the others: it would get all that comes next.
    freeAt: known
      ? Math.max(
          now,
          least(({ freeAt }) => freeAt),
        )
      : now,
    failures: 0,
    asideUntil: 0,
  };
}
