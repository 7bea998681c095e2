import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { sessionKey, sr25519Signature, ss58Address } from "./keys.ts";

/** The last moment that a date can name. */
const unixMs = z.int().nonnegative().max(8.64e15);

/** The hotkey lets a session key act for it, on one network, for a stated time. */
export const delegationBody = z.strictObject({
  network: z.string().min(1).max(64),
  hotkey: ss58Address,
  sessionKey,
  /** Unix milliseconds. */
  notBefore: unixMs,
  notAfter: unixMs,
});
export type DelegationBody = z.infer<typeof delegationBody>;

export const delegation = z.strictObject({ body: delegationBody, signature: sr25519Signature });
export type Delegation = z.infer<typeof delegation>;

/** The exact text the hotkey signs. The fixed first line keeps it from looking like an extrinsic. */
export function delegationText(body: DelegationBody): string {
  return `Delegate Train at Home session key v1\n${canonicalJson(body)}`;
}
