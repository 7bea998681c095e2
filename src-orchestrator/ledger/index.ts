/** The one entrance: what was earned, by whom, and what of it was claimed and paid. `audit-main.ts` is a process of its own. */
export { auditLedger } from "./audit.ts";
export { bindPayout, challenge, consent } from "./bindings.ts";
export { keepBlocks, startBlock } from "./block-notes.ts";
export type { ClaimOptions } from "./claim-rules.ts";
export { acceptClaim, account, claimRequest, claimRows, claimable } from "./claims.ts";
export { BLOCK_MS, blockClock } from "./clock.ts";
export { evidence } from "./evidence.ts";
export { keepPay } from "./kept-pay.ts";
export { Ledger, accruedRao, receiptRows } from "./ledger.ts";
export type { Credited } from "./ledger.ts";
export { openLedger } from "./open-ledger.ts";
export { ownerOf } from "./owner.ts";
export {
  checkSettlement,
  dueClaims,
  hold,
  noteAttempt,
  payTestUnits,
  payoutAttempts,
  payoutFeesRao,
  settle,
} from "./payments.ts";
export { sameOwner } from "./same-owner.ts";
export { settledPay } from "./settled.ts";
