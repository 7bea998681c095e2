import { scheduleJob } from "node-schedule";
import type { Job } from "node-schedule";

export interface EpochMoment {
  /** Of the network's clock, now. */
  readonly block: number;
  /** The first block of the next epoch. */
  readonly nextEpoch: number;
  readonly blockMs: number;
}

export interface EpochPorts {
  claim(): Promise<unknown>;
  failed(error: unknown): void;
  now(): number;
  /** From 0 to 1: so that not every computer claims in the same second. */
  random(): number;
  schedule?(at: Date, fire: () => void): Pick<Job, "cancel"> | null;
}

/** After the epoch's last block, at most. */
const SPREAD_MS = 60_000;

/** Claims what has accrued at the end of each epoch of the network's clock. */
export class EpochClaims {
  readonly #ports: EpochPorts;
  #planned: { readonly epoch: number; readonly at: number; readonly job: Pick<Job, "cancel"> } | null = null;
  #stopped = false;

  constructor(ports: EpochPorts) {
    this.#ports = ports;
  }

  /** Unix milliseconds; null: not known yet. */
  get nextAt(): number | null {
    return this.#planned?.at ?? null;
  }

  /** The network has said which block it is at. */
  heard({ block, nextEpoch, blockMs }: EpochMoment): void {
    if (this.#stopped) return;
    const { now, random, schedule = scheduleJob } = this.#ports;
    const end = now() + (nextEpoch - block) * blockMs;
    const planned = this.#planned;
    // Blocks come about as fast as they should: what is planned holds, unless the clock was set.
    if (planned?.epoch === nextEpoch && Math.abs(planned.at - end) < 2 * SPREAD_MS) return;
    const isLate = planned !== null && planned.epoch < nextEpoch;
    planned?.job.cancel();
    const at = end + Math.floor(random() * SPREAD_MS);
    const job = schedule(new Date(at), () => this.#fire(nextEpoch));
    this.#planned = job === null ? null : { epoch: nextEpoch, at, job };
    // The epoch ended while its moment was still to come: the computer slept, or the network was faster.
    if (isLate) this.#claim();
  }

  stop(): void {
    this.#stopped = true;
    this.#planned?.job.cancel();
    this.#planned = null;
  }

  #fire(epoch: number): void {
    if (this.#planned?.epoch === epoch) this.#planned = null;
    this.#claim();
  }

  #claim(): void {
    if (this.#stopped) return;
    this.#ports.claim().catch((error: unknown) => this.#ports.failed(error));
  }
}
