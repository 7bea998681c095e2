import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { sha256Hex, sr25519Signature, ss58Address } from "./keys.ts";
import { raoText } from "./units.ts";

/** Asks for payment of counter-signed receipts, by the statements that add them up. The server trusts no amount in it: it only caps. */
export const claimBody = z.strictObject({
  schema: z.literal("train-at-home/claim/v1"),
  network: z.string().min(1).max(64),
  netuid: z.int().nonnegative(),
  claimId: z.uuid(),
  hotkey: ss58Address,
  /** Where the money goes; must be the address bound to the hotkey, by default the hotkey itself. */
  payoutColdkey: ss58Address,
  /** Blocks, both inclusive. */
  epochFrom: z.int().nonnegative(),
  epochTo: z.int().nonnegative(),
  amountRao: raoText,
  asset: z.enum(["test", "alpha", "tao"]),
  /** SHA-256 over the ids of the statements it rests on: see `receiptsRoot`. */
  receiptsRoot: sha256Hex,
  nonce: sha256Hex,
  /** Unix milliseconds. */
  issuedAt: z.int().nonnegative(),
  expiresAt: z.int().nonnegative(),
});
export type ClaimBody = z.infer<typeof claimBody>;

export const signedClaim = z.strictObject({
  /** The exact text that was signed, first line included. It is verified as received, then parsed. */
  text: z.string().max(4096),
  signature: sr25519Signature,
});
export type SignedClaim = z.infer<typeof signedClaim>;

/** What one claim may rest on; who has more makes several. */
export const STATEMENTS_PER_CLAIM = 10_000;

export const CLAIM_FIRST_LINE = "Claim Train at Home rewards v1";

export function claimText(body: ClaimBody): string {
  return `${CLAIM_FIRST_LINE}\n${canonicalJson(body)}`;
}

/** The body inside a claim's text, or null when the text is not exactly the canonical form. */
export function parseClaimText(text: string): ClaimBody | null {
  const prefix = `${CLAIM_FIRST_LINE}\n`;
  if (!text.startsWith(prefix)) return null;
  try {
    const parsed = claimBody.safeParse(JSON.parse(text.slice(prefix.length)));
    return parsed.success && claimText(parsed.data) === text ? parsed.data : null;
  } catch {
    return null;
  }
}
