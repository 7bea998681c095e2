import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { sha256Hex, sr25519Signature, ss58Address } from "./keys.ts";

/** A payout address agrees that a hotkey is paid to it, from now on. Its own key signs, here or on another computer. */
export const consentBody = z.strictObject({
  schema: z.literal("train-at-home/payout/v1"),
  network: z.string().min(1).max(64),
  netuid: z.int().nonnegative(),
  hotkey: ss58Address,
  payoutColdkey: ss58Address,
  /** Bindings of this hotkey are counted from 1 and chained. */
  generation: z.int().positive(),
  /** SHA-256 of the consent before; null: there was none. */
  previous: sha256Hex.nullable(),
  nonce: sha256Hex,
  /** Unix milliseconds. */
  issuedAt: z.int().nonnegative(),
  expiresAt: z.int().nonnegative(),
});
export type ConsentBody = z.infer<typeof consentBody>;

export const CONSENT_FIRST_LINE = "Approve Train at Home payout wallet v1";

/** The exact text that the coldkey signs. */
export function consentText(body: ConsentBody): string {
  return `${CONSENT_FIRST_LINE}\n${canonicalJson(body)}`;
}

/** The body inside a consent's text, or null when the text is not exactly the canonical form. */
export function parseConsentText(text: string): ConsentBody | null {
  const prefix = `${CONSENT_FIRST_LINE}\n`;
  if (!text.startsWith(prefix)) return null;
  try {
    const parsed = consentBody.safeParse(JSON.parse(text.slice(prefix.length)));
    return parsed.success && consentText(parsed.data) === text ? parsed.data : null;
  } catch {
    return null;
  }
}

/** `POST /v1/payout/challenge` (signed by the hotkey), body `{payoutColdkey}`. */
export const challengeRequest = z.strictObject({ payoutColdkey: ss58Address });
export const challengeAnswer = z.strictObject({ text: z.string().max(4096), expiresAt: z.int() });

/** `POST /v1/payout` (signed by the hotkey). */
export const bindRequest = z.strictObject({ text: z.string().max(4096), signature: sr25519Signature });
export const bindAnswer = z.strictObject({
  hotkey: ss58Address,
  payoutColdkey: ss58Address,
  generation: z.int().positive(),
});
export type BindAnswer = z.infer<typeof bindAnswer>;

/**
 * The signature in what a signing tool has printed: bare hex with or without `0x`, or JSON, also folded at
 * 80 columns as `btcli wallet sign` folds it into a pipe. Null: there is none in it.
 */
export function signatureIn(printed: string): string | null {
  const whole = printed.replaceAll(/\s/g, "");
  const named = /"(?:signed_message|signature)":"(?:0x)?([0-9a-fA-F]{128})"/.exec(whole)?.[1];
  const bare = /(?:^|[^0-9a-fA-F])(?:0x)?([0-9a-fA-F]{128})(?:$|[^0-9a-fA-F])/.exec(whole)?.[1];
  const digits = named ?? bare;
  return digits === undefined ? null : `0x${digits.toLowerCase()}`;
}
