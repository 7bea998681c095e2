import { HOUR_MS } from "../../src-protocol/history.ts";
import type { ReceiptRow } from "../../src-protocol/state.ts";

/** The receipts of an hour on this computer's clock. */
export interface ReceiptHour {
  readonly from: number;
  readonly to: number;
  readonly amountRao: bigint;
  /** Newest first. */
  readonly receipts: readonly ReceiptRow[];
  /** There may be older ones of this hour, which were not asked for. */
  readonly isCut: boolean;
}

/** Newest hour first. @param isAll whether no older receipt was left out */
export function receiptHours(receipts: readonly ReceiptRow[], isAll: boolean): ReceiptHour[] {
  const hours = new Map<number, ReceiptRow[]>();
  for (const receipt of receipts) {
    const from = startOfHour(receipt.creditedAt);
    const hour = hours.get(from);
    if (hour === undefined) hours.set(from, [receipt]);
    else hour.push(receipt);
  }
  return [...hours]
    .sort(([a], [b]) => b - a)
    .map(([from, rows], index, { length }) => ({
      from,
      to: from + HOUR_MS,
      amountRao: rows.reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n),
      receipts: rows,
      isCut: !isAll && index === length - 1,
    }));
}

function startOfHour(at: number): number {
  const date = new Date(at);
  date.setMinutes(0, 0, 0);
  return date.getTime();
}
