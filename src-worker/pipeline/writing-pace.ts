/** Of a stage's work, what writing down its sums may cost beside it. */
const SHARE = 1 / 200;

/**
 * When a stage's sums are written down next, so that they outlive its process: the first at once, then as often as
 * costs no more than a share of the work between. What was worked since is done again after a kill: at most 200
 * times as long as the writing takes, and what the micro-batch under way takes.
 */
export class WritingPace {
  #workedMs = Infinity;
  #writingMs = 0;

  worked(ms: number): void {
    this.#workedMs += ms;
  }

  get isDue(): boolean {
    return this.#workedMs * SHARE >= this.#writingMs;
  }

  begins(): void {
    this.#workedMs = 0;
  }

  took(ms: number): void {
    this.#writingMs = ms;
  }
}
