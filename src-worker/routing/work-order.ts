/**
 * In which order a replica works on what it has. Gradients go first: they set memory and peers free. Two things are
 * otherwise. **The last micro-batches of a step** go forward before any gradient: where they wait behind gradients of a slow
 * computer, all stages behind it stand still, and the step's end waits for them. And **what is done again and nobody waits
 * for** (a lost replica had counted it, so the neighbours have what they need of it) is done when there is nothing else: the
 * time is there in any case while a step fills and is emptied.
 */

/** For each computer so many micro-batches are the last ones: as many as are under way. */
const UNDER_WAY = 4;
/** And no more than this part of a step. */
const OF_A_STEP = 1 / 8;
const AGAIN = 1 / 2;

export interface Work {
  readonly pass: "forward" | "backward";
  readonly microBatch: number;
}

/** From this number on micro-batches are the last ones. `replicas`: of a stage. */
export function lastFrom(microBatches: number, stages: number, replicas: number): number {
  return microBatches - Math.min(UNDER_WAY * stages * replicas, Math.floor(microBatches * OF_A_STEP));
}

export class WorkOrder {
  readonly #lastFrom: () => number;
  #forwards: number[] = [];
  #backwards: number[] = [];
  #forwardsAgain: number[] = [];
  #backwardsAgain: number[] = [];

  /** @param lastFrom see above: it changes with who has part in the run */
  constructor(lastFrom: () => number) {
    this.#lastFrom = lastFrom;
  }

  /**
   * For each pass, as senders are told. What nobody waits for counts half: who has much of a lost replica's work gets less of
   * the new, so that a step's end waits for nobody's heap; but not so much less that the others' new work waits.
   */
  get waiting(): { readonly forward: number; readonly backward: number } {
    return {
      forward: this.#forwards.length + AGAIN * this.#forwardsAgain.length,
      backward: this.#backwards.length + AGAIN * this.#backwardsAgain.length,
    };
  }

  /** `isAgain`: nobody waits for it. */
  add(pass: Work["pass"], microBatch: number, isAgain: boolean): void {
    if (pass === "forward") (isAgain ? this.#forwardsAgain : this.#forwards).push(microBatch);
    else (isAgain ? this.#backwardsAgain : this.#backwards).push(microBatch);
  }

  next(): Work | null {
    const from = this.#lastFrom();
    const last = this.#forwards.findIndex((microBatch) => microBatch >= from);
    if (last !== -1) return { pass: "forward", microBatch: this.#forwards.splice(last, 1)[0] ?? 0 };
    return (
      first("backward", this.#backwards) ??
      first("forward", this.#forwards) ??
      first("backward", this.#backwardsAgain) ??
      first("forward", this.#forwardsAgain)
    );
  }

  clear(): void {
    this.#forwards = [];
    this.#backwards = [];
    this.#forwardsAgain = [];
    this.#backwardsAgain = [];
  }
}

function first(pass: Work["pass"], waiting: number[]): Work | null {
  const microBatch = waiting.shift();
  return microBatch === undefined ? null : { pass, microBatch };
}
