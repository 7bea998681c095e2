/** As many as there are steps that a stage may have to do again: see `StepMemo`. */
const KEPT = 2;

interface Kept {
  readonly id: number;
  readonly values: Float32Array<ArrayBuffer>;
}

/**
 * Gradient sums as they were when they got a number, for as long as a step with them may be begun anew. They are
 * copied when something else is done with them, so a step costs one copy and a step that is broken off another.
 */
export class NotedSums {
  /** The number of the sums as they are in the stage's tensors now; null: they have none. */
  #now: number | null = null;
  /** The one that was in use last is the last. */
  #kept: Kept[] = [];

  /** The sums as they are get this number, which none had before. */
  note(id: number): void {
    this.#now = id;
  }

  /** Something is added to the sums, or they are set. */
  changed(): void {
    this.#now = null;
  }

  /** The sums end here, whatever is done with them; `copy` gives what they are, into the array if there is one. */
  async keep(
    copy: (into: Float32Array<ArrayBuffer> | undefined) => Promise<Float32Array<ArrayBuffer>>,
  ): Promise<void> {
    const id = this.#now;
    this.#now = null;
    if (id === null) return;
    const same = this.#kept.find((each) => each.id === id);
    const others = this.#kept.filter((each) => each !== same);
    const [oldest] = others.length < KEPT ? [] : others;
    const values = same?.values ?? (await copy(oldest?.values));
    this.#kept = [...others.filter((each) => each !== oldest), { id, values }];
  }

  /** Null: they are not here. `isThere`: they are what the stage's tensors have. */
  find(
    id: number,
  ): { readonly isThere: true } | { readonly isThere: false; readonly values: Float32Array } | null {
    if (this.#now === id) return { isThere: true };
    const found = this.#kept.find((each) => each.id === id);
    return found === undefined ? null : { isThere: false, values: found.values };
  }

  forget(): void {
    this.#now = null;
    this.#kept = [];
  }
}
