import { plural } from "../../src-protocol/amounts.ts";

const OWN = "only computers of the same owner could vouch for it";

const WHOLE =
  "This work is not paid: the whole model is one slice, and no other computer works with what this one has done and could vouch for it. It is paid when the model is cut into slices for more computers.";

/** Why work is not paid, for its owner. */
const REASONS: Readonly<Record<string, string>> = {
  "already-paid": "that work was paid before, and was done again after an interruption",
  "own-counter-signature": `${OWN}; the network will pay when one of somebody else is its neighbour`,
  "not-finished": "their steps were not finished by all slices",
  "not-counted": "the finished steps have counted other work for this computer",
  "not-assigned": "the network knows of no such assignment",
  "peer-not-neighbour": "the network knows their neighbours by another place",
  "no-counter-signature": "no other computer has vouched for that work",
};
/** Of all other codes. */
const FAULT = "the network has found a fault in what they say";

/** Counts receipts that were refused for good, and says so: at the first of each reason, then ever more rarely. */
export class RefusedReceipts {
  readonly #counts = new Map<string, number>();
  readonly #say: (sentence: string) => void;
  #unpaid: string | null = null;
  /** Since the last one that was paid: how many, and why the newest. */
  #since: { readonly count: number; readonly code: string } | null = null;
  #isWhole = false;

  constructor(say: (sentence: string) => void) {
    this.#say = say;
  }

  /** What the owner has to know of the work of just now; null: it is paid. */
  get unpaid(): string | null {
    return this.#isWhole ? WHOLE : this.#unpaid;
  }

  /** What the owner has to know of receipts that were refused since one was paid, and `unpaid` does not say; null: nothing. */
  get refused(): string | null {
    if (this.#since === null || this.#isWhole) return null;
    const { count, code } = this.#since;
    return `The network has refused ${plural(count, "receipt")} since it paid one: ${REASONS[code] ?? FAULT} (${code}).`;
  }

  /** A slice was given: of a model in so many. */
  assigned(slices: number): void {
    this.#isWhole = slices === 1;
  }

  /** What the network has answered last. */
  answered({
    stored,
    refused,
    partly = [],
  }: {
    readonly stored: readonly string[];
    readonly refused: readonly { readonly code: string }[];
    readonly partly?: readonly { readonly code: string }[] | undefined;
  }): void {
    this.add(refused);
    const isOwn = ({ code }: { readonly code: string }): boolean => code === "own-counter-signature";
    const until = "It is paid as soon as somebody else's computer is beside this one.";
    if (refused.some(isOwn)) this.#unpaid = `This work is not paid: ${OWN}. ${until}`;
    else if (partly.some(isOwn)) this.#unpaid = `A part of this work is not paid: ${OWN}. ${until}`;
    else if (stored.length > 0) this.#unpaid = null;
    const others = refused.filter((each) => !isOwn(each));
    const newest = others.at(-1);
    if (newest !== undefined)
      this.#since = { count: (this.#since?.count ?? 0) + others.length, code: newest.code };
    else if (stored.length > 0) this.#since = null;
  }

  add(refused: readonly { readonly code: string }[]): void {
    for (const { code } of refused) {
      const count = (this.#counts.get(code) ?? 0) + 1;
      this.#counts.set(code, count);
      if (!/^10*$/.test(String(count))) continue;
      this.#say(`${plural(count, "receipt")} will not be paid: ${REASONS[code] ?? FAULT} (${code}).`);
    }
  }
}
