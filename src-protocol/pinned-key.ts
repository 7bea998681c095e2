import { X509Certificate } from "node:crypto";
import { Failure } from "./failure.ts";
import { sha256 } from "./signing.ts";

/** SHA-256 of a certificate's public key (SubjectPublicKeyInfo, as RFC 7469 pins it), in hex. @param certificate PEM or DER */
export function certificateKeySha256(certificate: string | Uint8Array): string {
  const { publicKey } = new X509Certificate(certificate);
  return sha256(publicKey.export({ type: "spki", format: "der" }));
}

/** Null when this is the network that the invitation names. @param certificate DER; undefined: none was shown */
export function refusePeer(certificate: Uint8Array | undefined, keySha256: string): Failure | null {
  if (certificate !== undefined && certificateKeySha256(certificate) === keySha256) return null;
  return new Failure(
    "network-wrong-key",
    "What answers at the network's address has another key than the invitation names. It is another network, or somebody stands in between: nothing was sent to it. Ask the operator for a new invitation.",
  );
}
