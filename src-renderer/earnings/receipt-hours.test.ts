import { expect, test } from "vitest";
import type { ReceiptRow } from "../../src-protocol/state.ts";
import { receiptHours } from "./receipt-hours.ts";

const at = (hour: number, minute: number) => new Date(2026, 10, 28, hour, minute).getTime();
const receipt = (creditedAt: number, amountRao: string): ReceiptRow => ({
  id: "0".repeat(64),
  runId: "run",
  stage: 0,
  step: 1,
  microBatches: 1,
  tokens: 1,
  amountRao,
  creditedAt,
  claimId: null,
});

test("receipts are told by the hour, the newest first, and the oldest hour may have more", () => {
  const rows = [receipt(at(14, 59), "3"), receipt(at(14, 0), "4"), receipt(at(13, 59), "5")];
  const told = (isAll: boolean) =>
    receiptHours(rows, isAll).map(({ from, to, amountRao, receipts, isCut }) => [
      from,
      to,
      amountRao,
      receipts.length,
      isCut,
    ]);
  expect(told(true)).toEqual([
    [at(14, 0), at(15, 0), 7n, 2, false],
    [at(13, 0), at(14, 0), 5n, 1, false],
  ]);
  expect(told(false).map((hour) => hour.at(-1))).toEqual([false, true]);
  expect(receiptHours([], true)).toEqual([]);
});
