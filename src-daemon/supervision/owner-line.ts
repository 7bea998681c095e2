import { NO_LIMITS } from "../../src-protocol/line-limits.ts";
import type { LineLimits, TrafficState, LineUse } from "../../src-protocol/line-limits.ts";

/** What the shown rates are the mean of. */
const SPAN_MS = 10_000;
/** Shares follow what workers say at once; people are told less often. */
const TELL_MS = 1_000;
/** Of the limit, for a worker that used nothing: so much flows before its share grows. */
const IDLE_SHARE = 0.02;
/** A worker that was not held back may use so much more than it did. */
const HEADROOM = 1.3;

/** One worker in one direction: what it used lately, and whether it wanted more. */
export interface Demand {
  readonly usedMbit: number;
  readonly held: boolean;
}

/**
 * Max-min fair shares that add up to the limit: who wants little gets that and some room, the rest
 * is for whoever was held back, or for all alike when nobody was.
 */
export function shareOut(limitMbit: number, demands: readonly Demand[]): number[] {
  const floor = (limitMbit * IDLE_SHARE) / Math.max(1, demands.length);
  const wants = demands.map(({ usedMbit, held }) =>
    held ? limitMbit : Math.max(floor, usedMbit * HEADROOM),
  );
  const shares = demands.map(() => 0);
  let left = limitMbit;
  const unserved = demands.map((_, index) => index).sort((a, b) => (wants[a] ?? 0) - (wants[b] ?? 0));
  for (const [served, index] of unserved.entries()) {
    const share = Math.min(wants[index] ?? 0, left / (unserved.length - served));
    shares[index] = share;
    left -= share;
  }
  return shares.map((share) => share + left / shares.length);
}

interface Look {
  readonly at: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

interface Worker {
  readonly looks: Look[];
  use: LineUse;
}

export interface OwnerLinePorts {
  /** A worker's share has changed. */
  readonly give: (worker: string, limits: LineLimits) => void;
  readonly onState: (state: TrafficState) => void;
  /** Milliseconds, of a clock that never jumps. */
  readonly now: () => number;
}

/** The owner's line limits, shared by the workers of this computer by what each of them needs. */
export class OwnerLine {
  readonly #ports: OwnerLinePorts;
  readonly #workers = new Map<string, Worker>();
  #limits: LineLimits = NO_LIMITS;
  #toldAt = -Infinity;

  constructor(ports: OwnerLinePorts) {
    this.#ports = ports;
  }

  /** Takes effect at once. */
  limit(limits: LineLimits): void {
    if (limits.uploadMbit === this.#limits.uploadMbit && limits.downloadMbit === this.#limits.downloadMbit)
      return;
    this.#limits = limits;
    this.#share();
    this.#tell();
  }

  /** A worker's process is there; it is to be given its share before it works. */
  began(worker: string): void {
    this.#workers.set(worker, {
      looks: [{ at: this.#ports.now(), sentBytes: 0, receivedBytes: 0 }],
      use: { sentBytes: 0, receivedBytes: 0, uploadHeld: false, downloadHeld: false },
    });
    this.#share();
  }

  used(worker: string, use: LineUse): void {
    const known = this.#workers.get(worker);
    if (known === undefined) return;
    const { now } = this.#ports;
    known.use = use;
    known.looks.push({ at: now(), sentBytes: use.sentBytes, receivedBytes: use.receivedBytes });
    while ((known.looks[1]?.at ?? Infinity) <= now() - SPAN_MS) known.looks.shift();
    if (this.#workers.size > 1) this.#share();
    if (now() - this.#toldAt >= TELL_MS) this.#tell();
  }

  ended(worker: string): void {
    if (!this.#workers.delete(worker)) return;
    this.#share();
    this.#tell();
  }

  #share(): void {
    const { uploadMbit, downloadMbit } = this.#limits;
    const workers = [...this.#workers];
    const ups = sharesOf(uploadMbit, workers, ({ looks, use }) => ({
      usedMbit: latest(looks, "sentBytes"),
      held: use.uploadHeld,
    }));
    const downs = sharesOf(downloadMbit, workers, ({ looks, use }) => ({
      usedMbit: latest(looks, "receivedBytes"),
      held: use.downloadHeld,
    }));
    for (const [index, [name]] of workers.entries())
      this.#ports.give(name, { uploadMbit: ups[index] ?? null, downloadMbit: downs[index] ?? null });
  }

  #tell(): void {
    this.#toldAt = this.#ports.now();
    let [uploadMbit, downloadMbit] = [0, 0];
    for (const { looks } of this.#workers.values()) {
      uploadMbit += mean(looks, "sentBytes");
      downloadMbit += mean(looks, "receivedBytes");
    }
    const short = (mbit: number): number => Number(mbit.toFixed(2));
    this.#ports.onState({
      limits: this.#limits,
      uploadMbit: short(uploadMbit),
      downloadMbit: short(downloadMbit),
    });
  }
}

function sharesOf(
  limit: number | null,
  workers: readonly (readonly [string, Worker])[],
  demand: (worker: Worker) => Demand,
): readonly (number | null)[] {
  if (limit === null) return workers.map(() => null);
  return shareOut(
    limit,
    workers.map(([, worker]) => demand(worker)),
  );
}

type Counter = "sentBytes" | "receivedBytes";

function mean(looks: readonly Look[], counter: Counter): number {
  return rate(looks[0], looks.at(-1), counter);
}

function latest(looks: readonly Look[], counter: Counter): number {
  return rate(looks.at(-2), looks.at(-1), counter);
}

function rate(from: Look | undefined, to: Look | undefined, counter: Counter): number {
  if (from === undefined || to === undefined || to.at <= from.at) return 0;
  return ((to[counter] - from[counter]) * 8) / 1_000 / (to.at - from.at);
}
