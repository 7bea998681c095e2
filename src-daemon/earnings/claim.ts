import { randomBytes, randomUUID } from "node:crypto";
import type { ClaimableAnswer } from "../../src-protocol/api.ts";
import { claimText } from "../../src-protocol/claim.ts";
import type { ClaimBody, SignedClaim } from "../../src-protocol/claim.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { receiptsRoot } from "../../src-protocol/signing.ts";
import type { Hotkey } from "../wallet/wallet.ts";

/** Long enough for a claim to outlive a night without a connection; a copy of it is worth nothing later. */
export const CLAIM_VALID_MS = 24 * 60 * 60 * 1000;

export interface ClaimTerms {
  readonly hotkey: Hotkey;
  readonly network: string;
  readonly netuid: number;
  readonly payoutColdkey: Ss58Address;
  readonly asset: ClaimBody["asset"];
}

/** Signs a claim for exactly what the network says is claimable; `now` is Unix milliseconds. */
export function makeClaim({
  hotkey,
  claimable,
  now,
  claimId = randomUUID(),
  nonce = randomBytes(32).toString("hex"),
  ...terms
}: ClaimTerms & {
  readonly claimable: ClaimableAnswer;
  readonly now: number;
  readonly claimId?: string;
  readonly nonce?: string;
}): { claim: SignedClaim; body: ClaimBody } {
  const body: ClaimBody = {
    schema: "train-at-home/claim/v1",
    network: terms.network,
    netuid: terms.netuid,
    claimId,
    hotkey: hotkey.address,
    payoutColdkey: terms.payoutColdkey,
    epochFrom: claimable.epochFrom,
    epochTo: claimable.epochTo,
    amountRao: claimable.amountRao,
    asset: terms.asset,
    receiptsRoot: receiptsRoot(claimable.statementIds),
    nonce,
    issuedAt: Math.floor(now),
    expiresAt: Math.floor(now) + CLAIM_VALID_MS,
  };
  return { claim: { text: claimText(body), signature: hotkey.sign({ kind: "claim", body }) }, body };
}
