import { LONGEST_PERIOD_STEPS } from "../../src-protocol/disk-steps.ts";

/**
 * What all workers of one computer may write of states, in bytes a second: a laptop's disk, made for 300 TB,
 * takes it for 14 years of nights and days. The ledger and the checkpoints of a network of one's own come on top: 0.39 MB/s
 * at four steps a second of the default model.
 */
const STATE_BYTES_PER_SECOND = 0.65e6;
/** A page that was changed is written about so long after; changed again before, it is written once. */
const WRITTEN_AFTER_SECONDS = 30;
/** Places that are written in turn where every state goes to the disk. */
const PLACES = 3;
/** Of work, so much may be lost with the power or with all processes at once. */
const LONGEST_SECONDS = 600;
const INTERVALS = 9;

/** How often a stage's state goes to the disk: as often as that costs no more than the disk may take. */
export class DiskPeriod {
  readonly #seconds: number;
  readonly #now: () => number;
  #lastAt: number | null = null;
  /** Milliseconds between steps, the last few. */
  #intervals: number[] = [];

  /** `bytes`: of a state. `workers`: that share this computer's disk. `now`: ms of a clock that nobody sets. */
  constructor(bytes: number, workers: number, now: () => number) {
    const allowed = STATE_BYTES_PER_SECOND / workers;
    const isFree = (PLACES * bytes) / WRITTEN_AFTER_SECONDS <= allowed;
    this.#seconds = isFree ? 0 : Math.min(LONGEST_SECONDS, bytes / allowed);
    this.#now = now;
  }

  /** Called once for each step, when it was taken. Whether its state is to go to the disk. */
  isDue(step: number): boolean {
    const now = this.#now();
    if (this.#lastAt !== null) this.#intervals = [...this.#intervals, now - this.#lastAt].slice(-INTERVALS);
    this.#lastAt = now;
    return step % this.everySteps === 0;
  }

  /** A power of two, so that nodes that choose otherwise have steps in common; until steps are timed, 1. */
  get everySteps(): number {
    const usual = this.#intervals.toSorted((a, b) => a - b)[this.#intervals.length >> 1];
    if (usual === undefined) return 1;
    const wanted = Math.min(LONGEST_PERIOD_STEPS, (this.#seconds * 1000) / Math.max(1, usual));
    let steps = 1;
    while (steps < wanted) steps *= 2;
    return steps;
  }
}
