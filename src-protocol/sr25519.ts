import * as schnorrkel from "@scure/sr25519";
import type { Delegation } from "./delegation.ts";
import { delegationText } from "./delegation.ts";
import { Failure } from "./failure.ts";
import { sessionKey, sr25519Signature } from "./keys.ts";
import { verifySession } from "./signing.ts";
import { decodeSs58 } from "./ss58.ts";

/**
 * Verification of what hotkeys and coldkeys sign (schnorrkel, context `substrate`). It stands on
 * `@scure/sr25519`, which `@polkadot/util-crypto` 14 itself calls: importing that package as well
 * adds 30 MB or more of resident memory, which a daemon at rest has no room for.
 */

/** Delegations longer than this are refused: a stolen session key must not be good for ever. */
export const LONGEST_DELEGATION_DAYS = 31;
const DAY_MS = 86_400_000;

/** Builds the curve's tables ahead, so that the first verification is not slower than the others. */
export function ready(): Promise<void> {
  schnorrkel.getPublicKey(schnorrkel.secretFromSeed(new Uint8Array(32).fill(1)));
  return Promise.resolve();
}

/**
 * True when `signature` (0x-hex) is the address's over the UTF-8 text, or over the text inside
 * `<Bytes>…</Bytes>`, as browser wallets sign it. False for anything malformed; never throws.
 */
export function verifySr25519(address: string, text: string, signature: string): boolean {
  const account = decodeSs58(address);
  if (account === null || !sr25519Signature.safeParse(signature).success) return false;
  const bytes = Buffer.from(signature.slice(2), "hex");
  return verifies(account, text, bytes) || verifies(account, `<Bytes>${text}</Bytes>`, bytes);
}

/** As `verifySr25519`; a payout address may be of an ed25519 key too, since Bittensor's newer tools make them. */
export function verifyConsent(address: string, text: string, signature: string): boolean {
  if (verifySr25519(address, text, signature)) return true;
  const account = decodeSs58(address);
  if (account === null) return false;
  const key = sessionKey.safeParse(Buffer.from(account).toString("hex"));
  const hex = signature.slice(2);
  if (!key.success) return false;
  try {
    return [text, `<Bytes>${text}</Bytes>`].some((signed) => verifySession(key.data, signed, hex));
  } catch {
    // Not a point of that curve.
    return false;
  }
}

function verifies(account: Uint8Array, text: string, signature: Uint8Array): boolean {
  try {
    return schnorrkel.verify(new TextEncoder().encode(text), signature, account);
  } catch {
    // Not a point of the curve, or a signature without schnorrkel's marker bit.
    return false;
  }
}

/** Null when the hotkey lets this session key act on `network` at `now` (Unix milliseconds). */
export function verifyDelegation(
  delegation: Delegation,
  { network, now }: { network: string; now: number },
): Failure | null {
  const { body, signature } = delegation;
  if (body.network !== network) {
    return new Failure(
      "delegation-other-network",
      `The delegation is for the network "${body.network}", but this is "${network}". Ask the daemon for one for this network.`,
    );
  }
  if (body.notAfter <= body.notBefore || body.notAfter - body.notBefore > LONGEST_DELEGATION_DAYS * DAY_MS) {
    return new Failure(
      "delegation-bad-period",
      `The delegation's period is empty or longer than ${LONGEST_DELEGATION_DAYS} days, so it is not accepted. Ask for a shorter one.`,
    );
  }
  if (now < body.notBefore) {
    return new Failure(
      "delegation-not-yet",
      `The delegation is valid from ${isoTime(body.notBefore)}, but it is ${isoTime(now)} here. Check the clocks of both computers.`,
    );
  }
  if (now > body.notAfter) {
    return new Failure(
      "delegation-expired",
      `The delegation ended at ${isoTime(body.notAfter)}. The daemon has to sign a new one.`,
    );
  }
  if (!verifySr25519(body.hotkey, delegationText(body), signature)) {
    return new Failure(
      "delegation-forged",
      `The delegation is not signed by its hotkey ${body.hotkey}, so the session key may not act for it.`,
    );
  }
  return null;
}

function isoTime(unixMs: number): string {
  const date = new Date(unixMs);
  return Number.isNaN(date.getTime()) ? `${unixMs} ms` : date.toISOString();
}
