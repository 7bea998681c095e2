import { LONGEST_PERIOD_STEPS } from "../../src-protocol/disk-steps.ts";
import { isCheckpointStep } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";

/**
 * What all workers of one computer may write of states, in bytes a second: a laptop's disk, made for 300 TB,
 * takes it for 14 years of nights and days. Of a network of one's own, its ledger (0.2 MB/s) and the checkpoints come
 * on top.
 */
const STATE_BYTES_PER_SECOND = 0.55e6;
/** What the checkpoints of all stages of a run without an end may come to, on the network's computer. */
const CHECKPOINT_BYTES_PER_SECOND = 0.26e6;
/** Smaller ones may come as often as the run asks for them. */
const SMALL_CHECKPOINT_BYTES = 1e6;
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
  readonly #checkpointSeconds: number;
  readonly #spec: RunSpec;
  readonly #now: () => number;
  #lastAt: number | null = null;
  /** Milliseconds between steps, the last few. */
  #intervals: number[] = [];

  /** `bytes`: of a state. `workers`: that share this computer's disk. `now`: ms of a clock that nobody sets. */
  constructor(spec: RunSpec, bytes: number, workers: number, now: () => number) {
    const allowed = STATE_BYTES_PER_SECOND / workers;
    const isFree = (PLACES * bytes) / WRITTEN_AFTER_SECONDS <= allowed;
    this.#seconds = isFree ? 0 : Math.min(LONGEST_SECONDS, bytes / allowed);
    const isSeldom = spec.steps === null && bytes > SMALL_CHECKPOINT_BYTES;
    const its = (spec.stages * bytes) / CHECKPOINT_BYTES_PER_SECOND;
    this.#checkpointSeconds = isSeldom ? Math.min(LONGEST_SECONDS, its) : 0;
    this.#spec = spec;
    this.#now = now;
  }

  /**
   * Called once for each step, when it was taken. Whether its state is to go to the disk, and whether it is a
   * checkpoint, which the network gets.
   */
  isDue(step: number): { readonly state: boolean; readonly checkpoint: boolean } {
    const now = this.#now();
    if (this.#lastAt !== null) this.#intervals = [...this.#intervals, now - this.#lastAt].slice(-INTERVALS);
    this.#lastAt = now;
    const checkpoint = isCheckpointStep(this.#spec, step) && step % this.everyCheckpointSteps === 0;
    return { state: checkpoint || step % this.everySteps === 0, checkpoint };
  }

  /** A power of two, so that nodes that choose otherwise have steps in common; until steps are timed, 1. */
  get everySteps(): number {
    return this.#powerOfTwo(Math.min(LONGEST_PERIOD_STEPS, this.#stepsIn(this.#seconds)));
  }

  /** So many times the run's own number, by a power of two as well: stages have their checkpoints at common steps. */
  get everyCheckpointSteps(): number {
    const { steps, checkpointEverySteps } = this.#spec;
    if (steps !== null) return 1;
    return (
      checkpointEverySteps * this.#powerOfTwo(this.#stepsIn(this.#checkpointSeconds) / checkpointEverySteps)
    );
  }

  #stepsIn(seconds: number): number {
    const usual = this.#intervals.toSorted((a, b) => a - b)[this.#intervals.length >> 1];
    return usual === undefined ? 1 : (seconds * 1000) / Math.max(1, usual);
  }

  /** The smallest that is no less. */
  #powerOfTwo(wanted: number): number {
    let power = 1;
    while (power < wanted) power *= 2;
    return power;
  }
}
