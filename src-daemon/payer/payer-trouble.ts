/** What fails now and then, as a chain's node that is overloaded, is one trouble until it has been well for so long. */
const OVER_AFTER_MS = 10 * 60_000;

/** What the operator was told of why claims wait, so that each trouble is told once. */
export class PayerTrouble {
  #told = "";
  #failedAt = -Infinity;

  /** A round has failed. True: the operator has not been told. `now`: milliseconds, on any steady clock. */
  isNews(message: string, now: number): boolean {
    const isNews = message !== this.#told || now - this.#failedAt > OVER_AFTER_MS;
    this.#told = message;
    this.#failedAt = now;
    return isNews;
  }
}
