import type { AccountAnswer } from "../../src-protocol/api.ts";
import { parseClaimText } from "../../src-protocol/claim.ts";
import type { ClaimBody, SignedClaim } from "../../src-protocol/claim.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { receiptsRoot } from "../../src-protocol/signing.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import { formatTao } from "../../src-protocol/units.ts";

export type Asset = AccountAnswer["asset"];

export interface ClaimOptions {
  readonly network: string;
  readonly netuid: number;
  readonly asset: Asset;
  readonly now: () => number;
  readonly block: () => number;
}

/** How far ahead of our clock a claim may have been made. */
const CLOCK_SKEW_MS = 8_000;
/** A signed claim that somebody finds must not be good for ever. */
const LONGEST_CLAIM_MS = 24 * 3_600_000;

export interface NamedStatement {
  readonly id: string;
  readonly amountRao: bigint;
  readonly receipts: number;
  readonly fromBlock: number;
  readonly toBlock: number;
  readonly claimId: string | null;
}

/** Who signed what for whom; throws what is wrong with it. Nothing is looked up yet. */
export function readClaim(
  { text, signature }: SignedClaim,
  requester: Ss58Address,
  options: ClaimOptions,
): ClaimBody {
  const body = parseClaimText(text);
  if (body === null) {
    throw new Failure(
      "claim-malformed",
      "The claim's text is not in the form that is signed here. Update the app, then claim again.",
    );
  }
  if (body.hotkey !== requester) {
    throw new Failure(
      "claim-other-hotkey",
      "The claim is for another hotkey than the one that sent it. Send it with its own hotkey.",
    );
  }
  if (!verifySr25519(body.hotkey, text, signature)) {
    throw new Failure("claim-forged", "The claim is not signed by its hotkey, so nothing was granted.");
  }
  if (body.network !== options.network || body.netuid !== options.netuid || body.asset !== options.asset) {
    throw new Failure(
      "claim-other-network",
      `The claim is for ${body.asset} of ${body.network} (netuid ${body.netuid}); this is ${options.asset} of ${options.network} (netuid ${options.netuid}).`,
    );
  }
  return body;
}

/** When and how much: the rules that a repeated claim need not pass again. */
export function claimRefusal(
  body: ClaimBody,
  named: readonly NamedStatement[],
  statementIds: readonly string[],
  payout: Ss58Address,
  now: number,
  block: number,
): Failure | null {
  if (body.issuedAt > now + CLOCK_SKEW_MS) {
    return new Failure(
      "claim-not-yet",
      `The claim was made ${Math.ceil((body.issuedAt - now) / 1000)} s in the future by the network's clock; ${CLOCK_SKEW_MS / 1000} s are allowed. Set your computer's clock, then claim again; nothing is lost.`,
    );
  }
  if (body.expiresAt <= now)
    return new Failure("claim-expired", "The claim has expired, so nothing was granted. Claim again.");
  if (body.expiresAt - body.issuedAt > LONGEST_CLAIM_MS) {
    return new Failure(
      "claim-lasts-too-long",
      "The claim is valid for more than 24 hours, which is refused. Claim again with a shorter time.",
    );
  }
  if (body.payoutColdkey !== payout) {
    return new Failure(
      "claim-wrong-destination",
      `The claim asks for payment to ${body.payoutColdkey}, but this hotkey is paid to ${payout} only. Nothing was granted.`,
    );
  }
  if (statementIds.length === 0 || new Set(statementIds).size !== statementIds.length) {
    return new Failure(
      "claim-bad-receipts",
      "The claim names no receipts, or one of them twice. Claim again.",
    );
  }
  if (receiptsRoot(statementIds) !== body.receiptsRoot) {
    return new Failure(
      "claim-wrong-root",
      "The receipts sent with the claim are not the ones that were signed. Claim again.",
    );
  }
  if (named.length !== statementIds.length) {
    return new Failure(
      "claim-unknown-receipt",
      "The claim names receipts that this hotkey was not credited for. Nothing was granted.",
    );
  }
  if (named.some(({ claimId }) => claimId !== null)) {
    return new Failure(
      "claim-receipt-claimed",
      "The claim names receipts that were claimed before. Nothing was granted twice.",
    );
  }
  if (
    body.epochTo > block ||
    named.some(({ fromBlock, toBlock }) => fromBlock < body.epochFrom || toBlock > body.epochTo)
  ) {
    return new Failure(
      "claim-wrong-epoch",
      `The claim is for the blocks ${body.epochFrom} to ${body.epochTo}, which are not those of its receipts, or have not come yet (it is block ${block}). Nothing was granted, and nothing is lost.`,
    );
  }
  const worth = named.reduce((sum, { amountRao }) => sum + amountRao, 0n);
  const asked = BigInt(body.amountRao);
  if (asked > worth) {
    return new Failure(
      "claim-above-accrued",
      `The claim asks for ${formatTao(asked)}, but its receipts are worth ${formatTao(worth)}. Nothing was granted.`,
    );
  }
  // A statement is claimed whole: granting less would lose the rest.
  if (asked < worth || asked === 0n) {
    return new Failure(
      "claim-below-receipts",
      `The claim asks for ${formatTao(asked)}, but its receipts are worth ${formatTao(worth)}. Name fewer statements or ask for all of it.`,
    );
  }
  return null;
}
