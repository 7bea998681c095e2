import type { RunSpec } from "../src-protocol/model.ts";
import { singleSteps } from "../src-worker/replay/single.ts";
import type { SingleStep } from "../src-worker/replay/single.ts";

interface Told {
  readonly step: number;
  readonly loss: number;
}

/**
 * The same training in one process that nothing happens to, for its losses at equal tokens. It goes on where
 * it was: several networks that train the same are compared with it one after the other.
 */
export class LossAlone {
  readonly #steps: AsyncGenerator<SingleStep>;
  readonly #losses = new Map<number, number>();

  constructor(spec: RunSpec, corpus: Uint8Array, threads: number) {
    this.#steps = singleSteps({ spec, corpus, steps: Infinity, threads });
  }

  /** The largest difference of all that was told, also of a step that was told twice; nats. */
  async differenceOf(told: readonly Told[], signal?: AbortSignal): Promise<number> {
    // More may be told meanwhile.
    const points = [...told];
    const last = Math.max(0, ...points.map(({ step }) => step));
    while (this.#losses.size < last) {
      signal?.throwIfAborted();
      const { value } = await this.#steps.next();
      if (value !== undefined) this.#losses.set(value.step, value.loss);
    }
    return points.reduce((most, { step, loss }) => {
      const difference = Math.abs(loss - (this.#losses.get(step) ?? NaN));
      // What is no number differs from everything.
      return difference <= most ? most : Number.isNaN(difference) ? Infinity : difference;
    }, 0);
  }

  async end(): Promise<void> {
    await this.#steps.return(undefined);
  }
}
