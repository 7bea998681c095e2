const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** A launcher may hand on the Ctrl-C that has reached us already: only a later one is a second one. */
const SECOND_AFTER_MS = 300;

/** Counts how often this program was asked to end, instead of ending. */
export class Signals {
  #asked = 0;
  #at = 0;
  #first: () => void = () => {};
  #second: () => void = () => {};
  readonly #hear = (): void => {
    const now = performance.now();
    if (this.#asked > 0 && now - this.#at < SECOND_AFTER_MS) return;
    this.#asked += 1;
    this.#at = now;
    if (this.#asked === 1) this.#first();
    else this.#second();
  };

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#hear);
  }

  get asked(): number {
    return this.#asked;
  }

  onFirst(act: () => void): void {
    this.#first = act;
  }

  /** Called when somebody does not want to wait. */
  onSecond(act: () => void): void {
    this.#second = act;
  }

  ignore(): void {
    for (const signal of SIGNALS) process.off(signal, this.#hear);
  }
}
