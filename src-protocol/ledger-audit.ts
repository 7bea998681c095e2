import { z } from "zod";
import { sha256Hex } from "./keys.ts";

/** One thing in a ledger that is not as it has to be. */
export const auditFinding = z.strictObject({
  code: z.enum([
    "book-row-missing",
    "book-row-changed",
    "book-row-without-cause",
    "cause-not-booked",
    "postings-wrong",
    "statement-wrong",
    "receipt-changed",
    "receipt-missing",
    "receipt-price-wrong",
    "receipt-forged",
    "work-paid-twice",
    "claim-wrong",
    "claim-forged",
    "binding-forged",
    "balance-wrong",
    "count-wrong",
  ]),
  /** Where: a row, a receipt, an account. */
  where: z.string(),
  message: z.string(),
});
export type AuditFinding = z.infer<typeof auditFinding>;

const signedRao = z.string().regex(/^-?\d{1,20}$/);

/** What `tah ledger audit` has looked at, and what it found. */
export const auditReport = z.strictObject({
  isClean: z.boolean(),
  network: z.string(),
  book: z.strictObject({ rows: z.int().nonnegative(), hash: sha256Hex.nullable() }),
  receipts: z.strictObject({
    /** Looked at one by one. */
    kept: z.int().nonnegative(),
    /** Added up and deleted: their statements' digests and the chain stand for them. */
    pruned: z.int().nonnegative(),
    /** Not added up yet. */
    loose: z.int().nonnegative(),
    seal: sha256Hex.nullable(),
  }),
  statements: z.int().nonnegative(),
  claims: z.int().nonnegative(),
  payments: z.int().nonnegative(),
  /** Signatures that were verified; 0: they were not asked for. */
  signatures: z.int().nonnegative(),
  /** As recomputed. */
  accounts: z.array(z.strictObject({ account: z.string(), rao: signedRao })),
  /** The first ones; `found` counts all. */
  findings: z.array(auditFinding),
  found: z.int().nonnegative(),
});
export type AuditReport = z.infer<typeof auditReport>;

/** `tah ledger audit` ↔ the process that looks through a ledger which nobody has open, over Node's IPC channel. */
export const auditRequest = z.strictObject({ folder: z.string().min(1), signatures: z.boolean() });
export type AuditRequest = z.infer<typeof auditRequest>;
export const auditMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("report"), report: auditReport }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type AuditMessage = z.infer<typeof auditMessage>;
