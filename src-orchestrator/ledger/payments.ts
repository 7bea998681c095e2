import { Failure } from "../../src-protocol/failure.ts";
import { sha256Hex, ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { bigintOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";
import { enter } from "./book.ts";
import type { PayoutAttempt } from "../../src-protocol/payouts.ts";
import type { ClaimOptions } from "./claim-rules.ts";

/** A claim that is accepted and not paid yet. */
export interface DueClaim {
  readonly claimId: string;
  readonly hotkey: Ss58Address;
  readonly payoutColdkey: Ss58Address;
  readonly amountRao: bigint;
  readonly at: number;
  /** As the hotkey has signed it. */
  readonly text: string;
  readonly signature: string;
  /** Why it waits. */
  readonly held: string | null;
}

/** How a claim was paid: final, and with what has arrived. */
export interface Settlement {
  readonly block: number;
  readonly blockHash: string | null;
  readonly extrinsic: string;
  readonly creditedRao: bigint;
}

/** Of the address that most is due to first, so that small sums, which wait until they are more, hide nothing. */
export function dueClaims(store: Store, limit: number): DueClaim[] {
  return store
    .all(
      `SELECT c.*, h.address FROM claims c JOIN hotkeys h ON h.number = c.hotkey LEFT JOIN payments p USING (claimId)
       WHERE p.claimId IS NULL ORDER BY sum(c.amountRao) OVER (PARTITION BY c.payoutColdkey) DESC, c.payoutColdkey, c.at, c.claimId LIMIT :limit`,
      { limit },
    )
    .map((row) => ({
      claimId: textOf(row.claimId),
      hotkey: ss58Address.parse(textOf(row.address)),
      payoutColdkey: ss58Address.parse(textOf(row.payoutColdkey)),
      amountRao: bigintOf(row.amountRao),
      at: numberOf(row.at),
      text: textOf(row.text),
      signature: textOf(row.signature),
      held: orNull(row.held, textOf),
    }));
}

/** @throws Failure `unknown-claim`, `bad-amount`: a payment of this claim that cannot be */
export function checkSettlement(store: Store, claimId: string, creditedRao: bigint): void {
  const claim = store.get("SELECT amountRao FROM claims WHERE claimId = :claimId", { claimId });
  if (claim === null) throw new Failure("unknown-claim", `The book has no claim ${claimId}.`);
  if (creditedRao < 0n || creditedRao > bigintOf(claim.amountRao))
    throw new Failure("bad-amount", "More than was claimed cannot have arrived.");
}

/** Books a payment, once; resolves when that is on disk, with false when it was there before. A claim that is paid already stays as it was paid. */
export function settle(store: Store, claimId: string, how: Settlement, now: number): Promise<boolean> {
  return store.writeSafely(() => {
    if (store.get("SELECT 1 FROM payments WHERE claimId = :claimId", { claimId }) !== null) return false;
    const { block, blockHash, extrinsic, creditedRao } = how;
    store.run("INSERT INTO payments VALUES (:claimId, :block, :blockHash, :extrinsic, :creditedRao, :now)", {
      claimId,
      block,
      blockHash,
      extrinsic,
      creditedRao,
      now,
    });
    enter(store, "payment", claimId, now);
    store.run("UPDATE claims SET held = NULL WHERE claimId = :claimId", { claimId });
    return true;
  }, 3);
}

/** Says why an accepted claim waits. It is tried again. */
export function hold(store: Store, claimId: string, reason: string): Promise<unknown> {
  return store.write(() =>
    store.run("UPDATE claims SET held = :reason WHERE claimId = :claimId", {
      claimId,
      reason: reason.slice(0, 500),
    }),
  );
}

/** Notes a try to pay a claim of the book; one whose fee is noted already, once. */
export function noteAttempt(store: Store, attempt: PayoutAttempt): Promise<unknown> {
  const { claimId, at, extrinsic, outcome, detail, feeRao } = attempt;
  return store.write(() =>
    store.run(
      `INSERT INTO payoutAttempts (claimId, at, extrinsic, outcome, detail, feeRao)
       SELECT claimId, :at, :extrinsic, :outcome, :detail, :feeRao FROM claims WHERE claimId = :claimId
         AND NOT EXISTS (SELECT 1 FROM payoutAttempts a
           WHERE a.claimId = :claimId AND a.extrinsic = :extrinsic AND a.feeRao IS NOT NULL)`,
      { claimId, at, extrinsic, outcome, detail, feeRao: feeRao === null ? null : BigInt(feeRao) },
    ),
  );
}

/** Newest first. */
export function payoutAttempts(store: Store, limit: number): PayoutAttempt[] {
  return store
    .all("SELECT * FROM payoutAttempts ORDER BY number DESC LIMIT :limit", { limit })
    .map((row) => ({
      claimId: textOf(row.claimId),
      at: numberOf(row.at),
      extrinsic: orNull(row.extrinsic, textOf),
      outcome: textOf(row.outcome) === "paid" ? "paid" : "waits",
      detail: orNull(row.detail, textOf),
      feeRao: orNull(row.feeRao, (value) => String(bigintOf(value))),
    }));
}

/** What the chain took from the payer for all tries, those that failed among them, as far as it is known. */
export function payoutFeesRao(store: Store): bigint {
  const row = store.get("SELECT sum(feeRao) AS rao FROM payoutAttempts");
  return orNull(row?.rao, bigintOf) ?? 0n;
}

/**
 * Test units are paid in the network's own book: at once, whole, and final with the row's commit. A kill
 * between acceptance and payment is made good at the next start.
 */
export async function payTestUnits(store: Store, { now, block }: ClaimOptions): Promise<void> {
  await Promise.all(
    dueClaims(store, 1_000).map(({ claimId, amountRao }) => {
      const row = store.get("SELECT hash FROM book WHERE kind = 'claim' AND reference = :claimId", {
        claimId,
      });
      const hash = sha256Hex.parse(
        Buffer.from((row?.hash ?? new Uint8Array()) as Uint8Array).toString("hex"),
      );
      const how = { block: block(), blockHash: null, extrinsic: `book ${hash}`, creditedRao: amountRao };
      return settle(store, claimId, how, now());
    }),
  );
}

export function paidRao(store: Store, hotkey: Ss58Address): bigint {
  const row = store.get(
    `SELECT sum(p.creditedRao) AS rao FROM payments p JOIN claims c USING (claimId) JOIN hotkeys h ON h.number = c.hotkey
     WHERE h.address = :hotkey`,
    { hotkey },
  );
  return orNull(row?.rao, bigintOf) ?? 0n;
}
