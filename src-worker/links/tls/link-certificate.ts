import { selfSigned } from "../../../src-protocol/self-signed.ts";
import type { SelfSigned } from "../../../src-protocol/self-signed.ts";

let made: SelfSigned | null = null;

/**
 * This process's TLS certificate, made once, in memory only. It says nothing about who we are: the hello does
 * (link-greeting.ts).
 */
export function linkCertificate(): SelfSigned {
  made ??= selfSigned();
  return made;
}
