import { Budget } from "../../src-protocol/budget.ts";

/** What a hotkey that holds a stage may have checked in a second, and one that does not. */
const HOLDER_RECEIPTS = { perSecond: 4_000, burst: 20_000 };
const SPARE_RECEIPTS = { perSecond: 500, burst: 5_000 };
/** And all that hold none together: their keys cost them nothing. */
const ALL_SPARE_RECEIPTS = { perSecond: 2_000, burst: 20_000 };
/** A receipt that is refused has cost as much and earned nothing. */
const REFUSED_COST = 8;

const PROOFS_OF_ADDRESS = { perSecond: 50, burst: 200 };
const ALL_PROOFS = { perSecond: 200, burst: 1_000 };
const JOINS_OF_HOTKEY = { perSecond: 2, burst: 32 };

const EVERYBODY = "everybody";

/** The dear work that others may ask of the orchestrator, by who they are. */
export class Strangers {
  readonly #holders: Budget;
  readonly #spares: Budget;
  readonly #allSpares: Budget;
  readonly #proofs: Budget;
  readonly #allProofs: Budget;
  readonly #joins: Budget;

  constructor(now?: () => number) {
    this.#holders = new Budget(HOLDER_RECEIPTS, now);
    this.#spares = new Budget(SPARE_RECEIPTS, now);
    this.#allSpares = new Budget(ALL_SPARE_RECEIPTS, now);
    this.#proofs = new Budget(PROOFS_OF_ADDRESS, now);
    this.#allProofs = new Budget(ALL_PROOFS, now);
    this.#joins = new Budget(JOINS_OF_HOTKEY, now);
  }

  /** Whether a wallet's signature is checked now: that takes a millisecond. */
  mayProve(address: string, hotkey: string): boolean {
    return this.#proofs.take(address) && this.#joins.take(hotkey) && this.#allProofs.take(EVERYBODY);
  }

  /** Milliseconds to wait before so many receipts of this hotkey are looked at. */
  receiptsWaitMs(hotkey: string, isHolder: boolean, count: number): number {
    if (isHolder) return this.#holders.owe(hotkey, count);
    return Math.max(this.#spares.owe(hotkey, count), this.#allSpares.owe(EVERYBODY, count));
  }

  receiptsRefused(hotkey: string, isHolder: boolean, count: number): void {
    if (count > 0) (isHolder ? this.#holders : this.#spares).owe(hotkey, count * REFUSED_COST);
  }
}
