import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { EVIDENCE_PAGE } from "../../src-protocol/receipt-export.ts";
import type { EvidencePage } from "../../src-protocol/receipt-export.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";
import { receiptOf } from "./seals.ts";

/** Receipts with their signatures, and statements, of one hotkey after these numbers: what its owner takes home. */
export function evidence(
  store: Store,
  network: string,
  hotkey: Ss58Address,
  { afterReceipt, afterStatement }: { readonly afterReceipt: number; readonly afterStatement: number },
): EvidencePage {
  const receipts = store.all(
    `SELECT r.*, s.id AS statementDigest FROM receipts r JOIN hotkeys h ON h.number = r.hotkey
     LEFT JOIN statements s ON s.number = r.statement WHERE h.address = :hotkey AND r.number > :after ORDER BY r.number LIMIT :limit`,
    { hotkey: ss58Address.parse(hotkey), after: afterReceipt, limit: EVIDENCE_PAGE },
  );
  const statements = store.all(
    `SELECT s.* FROM statements s JOIN hotkeys h ON h.number = s.hotkey
     WHERE h.address = :hotkey AND s.number > :after ORDER BY s.number LIMIT :limit`,
    { hotkey, after: afterStatement, limit: EVIDENCE_PAGE },
  );
  const isLast = receipts.length < EVIDENCE_PAGE && statements.length < EVIDENCE_PAGE;
  return {
    receipts: receipts.map((row) => ({
      id: hexOf(row.id),
      receipt: receiptOf(row, network),
      amountRao: String(bigintOf(row.amountRao)),
      raoPerTeraflop: orNull(row.raoPerTeraflop, (value) => String(bigintOf(value))),
      block: numberOf(row.block),
      creditedAt: numberOf(row.creditedAt),
      statementId: orNull(row.statementDigest, hexOf),
    })),
    statements: statements.map((row) => ({
      id: hexOf(row.id),
      runId: textOf(row.runId),
      stage: numberOf(row.stage),
      fromStep: numberOf(row.fromStep),
      toStep: numberOf(row.toStep),
      receipts: numberOf(row.receipts),
      amountRao: String(bigintOf(row.amountRao)),
      fromBlock: numberOf(row.fromBlock),
      toBlock: numberOf(row.toBlock),
      at: numberOf(row.at),
      claimId: orNull(row.claimId, textOf),
    })),
    next: isLast
      ? null
      : {
          afterReceipt: numberOf(receipts.at(-1)?.number ?? BigInt(afterReceipt)),
          afterStatement: numberOf(statements.at(-1)?.number ?? BigInt(afterStatement)),
        },
  };
}
