import { z } from "zod";
import { sha256Hex, ss58Address } from "./keys.ts";
import { signedReceipt } from "./receipt.ts";
import { raoText } from "./units.ts";

/** A receipt with its signatures, and what the network made of it. */
export const exportedReceipt = z.strictObject({
  id: sha256Hex,
  receipt: signedReceipt,
  amountRao: raoText,
  /** Pay of 1e12 operations when it was credited; null: not noted then. */
  raoPerTeraflop: raoText.nullable(),
  block: z.int().nonnegative(),
  creditedAt: z.int().nonnegative(),
  /** Null: not added up yet. */
  statementId: sha256Hex.nullable(),
});
export type ExportedReceipt = z.infer<typeof exportedReceipt>;

/** What receipts were added up to; it stays when they are deleted. */
export const exportedStatement = z.strictObject({
  id: sha256Hex,
  runId: z.string(),
  stage: z.int().nonnegative(),
  fromStep: z.int().nonnegative(),
  toStep: z.int().nonnegative(),
  receipts: z.int().nonnegative(),
  amountRao: raoText,
  fromBlock: z.int().nonnegative(),
  toBlock: z.int().nonnegative(),
  at: z.int().nonnegative(),
  claimId: z.string().nullable(),
});
export type ExportedStatement = z.infer<typeof exportedStatement>;

/** `GET /v1/account/evidence?afterReceipt=N&afterStatement=N` (signed): the next of both, oldest first. */
export const EVIDENCE_PAGE = 200;
export const evidencePage = z.strictObject({
  receipts: z.array(exportedReceipt).max(EVIDENCE_PAGE),
  statements: z.array(exportedStatement).max(EVIDENCE_PAGE),
  /** Ask again with these; null: that was all. */
  next: z.strictObject({ afterReceipt: z.int(), afterStatement: z.int() }).nullable(),
});
export type EvidencePage = z.infer<typeof evidencePage>;

/** The file that `tah receipts export` writes and `tah receipts verify` reads. */
export const receiptExport = z.strictObject({
  schema: z.literal("train-at-home/receipts-export/v1"),
  network: z.string(),
  hotkey: ss58Address,
  asset: z.enum(["test", "alpha", "tao"]),
  exportedAt: z.int().nonnegative(),
  receipts: z.array(exportedReceipt),
  statements: z.array(exportedStatement),
});
export type ReceiptExport = z.infer<typeof receiptExport>;
