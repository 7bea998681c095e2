import type { Activations } from "../compute/compute-call.ts";

/**
 * What rounding has left out of the sums that a replica gave: it is part of the next one (error feedback: Seide
 * et al., "1-bit stochastic gradient descent", Interspeech 2014; Karimireddy et al., arXiv:1901.09847). So
 * nothing is left out for good, however small it is beside the others of its block.
 *
 *     given = Q(sum + rest)      rest = sum + rest − given
 *
 * Only a step that is taken moves it: one that is opened again has given nothing. Whoever adds up a shard for
 * others and rounds the total has what that leaves out in its own rest (DoubleSqueeze: Tang et al.,
 * arXiv:1905.05957). It is no part of the state: where it is lost, so is at most one step's rounding.
 */
export class RoundingRest {
  /** Of the steps before; null: nothing. */
  #kept: Activations | null = null;
  /** If this round is taken. */
  #next: Activations | null = null;

  /** The sum is asked for, perhaps again. */
  begin(): void {
    this.#next = null;
  }

  /** The sum, and what was left out of those before. */
  withRest(sum: Activations): Activations {
    const kept = this.#kept;
    return kept === null ? sum : sum.map((value, i) => value + (kept[i] as number));
  }

  /** Of all values of this replica, `wanted` were to be given, and `given` are, one shard after another. */
  ofSum(wanted: Activations, given: readonly Activations[]): void {
    const next = new Float32Array(wanted.length);
    let from = 0;
    for (const shard of given) {
      for (let i = 0; i < shard.length; i++)
        next[from + i] = (wanted[from + i] as number) - (shard[i] as number);
      from += shard.length;
    }
    this.#next = next;
  }

  /** The same of a shard's total, from value `from` on, of `length` in all. */
  ofTotal(length: number, from: number, wanted: Activations, given: Activations): void {
    const next = (this.#next ??= this.#kept?.slice() ?? new Float32Array(length));
    for (let i = 0; i < wanted.length; i++)
      next[from + i] = (next[from + i] as number) + (wanted[i] as number) - (given[i] as number);
  }

  /** The optimiser step has what was given. */
  taken(): void {
    this.#kept = this.#next ?? this.#kept;
    this.#next = null;
  }

  /** Whether others have had what it gave last is not known: to give it twice would be worse than not at all. */
  drop(): void {
    this.#kept = null;
    this.#next = null;
  }
}
