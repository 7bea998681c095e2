import { plural } from "../../src-protocol/amounts.ts";

/** Why work is not paid, for its owner; other codes are told as they are. */
const REASONS: Readonly<Record<string, string>> = {
  "already-paid": "that work was paid before, and was done again after an interruption",
  "own-counter-signature":
    "only computers of the same owner could vouch for it; the network will pay when one of somebody else is its neighbour",
  "not-finished": "their steps were not finished by all stages",
  "not-assigned": "the network knows of no such assignment",
  "peer-not-neighbour": "the network knows their neighbours by another place",
};

/** Counts receipts that were refused for good, and says so: at the first of each reason, then ever more rarely. */
export class RefusedReceipts {
  readonly #counts = new Map<string, number>();
  readonly #say: (sentence: string) => void;

  constructor(say: (sentence: string) => void) {
    this.#say = say;
  }

  add(refused: readonly { readonly code: string }[]): void {
    for (const { code } of refused) {
      const count = (this.#counts.get(code) ?? 0) + 1;
      this.#counts.set(code, count);
      if (!/^10*$/.test(String(count))) continue;
      this.#say(`${plural(count, "receipt")} will not be paid: ${REASONS[code] ?? code} (${code}).`);
    }
  }
}
