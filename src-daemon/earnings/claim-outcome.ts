import { Failure } from "../../src-protocol/failure.ts";
import type { ClaimOutcome, ClaimRow } from "../../src-protocol/state.ts";

/** What a call has claimed, added up. Sums are of one address: what goes to another one stands apart. */
export function outcomeOf(rows: readonly ClaimRow[]): ClaimOutcome {
  const newest = rows.at(-1);
  if (newest === undefined) throw new Failure("internal", "There is no claim.");
  const isSame = ({ payoutColdkey, asset, status }: ClaimRow): boolean =>
    payoutColdkey === newest.payoutColdkey && asset === newest.asset && status === newest.status;
  const same = rows.filter(isSame);
  const arrived = same.reduce((sum, { payment }) => sum + BigInt(payment?.creditedRao ?? "0"), 0n);
  return {
    ...newest,
    amountRao: same.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n).toString(),
    receipts: same.reduce((sum, { receipts }) => sum + receipts, 0),
    payment: newest.payment === null ? null : { ...newest.payment, creditedRao: arrived.toString() },
    others: rows.filter((row) => !isSame(row)),
  };
}
