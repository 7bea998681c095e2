/** When the owner's rules end this worker's work, as the daemon said it last. */
export class DeclaredEnd {
  readonly #now: () => number;
  /** By `now`; null: no end is known. */
  #at: number | null = null;
  onChange: (inMs: number | null) => void = () => undefined;

  /** @param now milliseconds of a clock that nobody sets */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** From now; null: no end is known. */
  get inMs(): number | null {
    return this.#at === null ? null : Math.max(0, this.#at - this.#now());
  }

  set(inMs: number | null): void {
    this.#at = inMs === null ? null : this.#now() + inMs;
    this.onChange(inMs);
  }
}
