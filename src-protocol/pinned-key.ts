import { X509Certificate } from "node:crypto";
import { Failure } from "./failure.ts";
import { sha256 } from "./signing.ts";

/** SHA-256 of a certificate's public key (SubjectPublicKeyInfo, as RFC 7469 pins it), in hex. @param certificate PEM or DER */
export function certificateKeySha256(certificate: string | Uint8Array): string {
  const { publicKey } = new X509Certificate(certificate);
  return sha256(publicKey.export({ type: "spki", format: "der" }));
}

/** Null when this is the network that the invitation names. @param certificate DER; undefined: none was shown */
function refusePeer(certificate: Uint8Array | undefined, keySha256: string): Failure | null {
  if (certificate !== undefined && certificateKeySha256(certificate) === keySha256) return null;
  return new Failure(
    "network-wrong-key",
    "What answers at the network's address has another key than the invitation names. It is another network, or somebody stands in between: nothing was sent to it. Ask the operator for a new invitation.",
  );
}

/** Options of a TLS connection whose peer `whenPinned` looks at. */
export const PINNED_TLS = {
  // SECURITY: instead of an authority's word, the key itself is compared, before a byte is sent.
  rejectUnauthorized: false,
  minVersion: "TLSv1.3",
  ALPNProtocols: ["http/1.1"],
} as const;

/** A resumed session would show no certificate. */
export const PINNED_AGENT = { keepAlive: true, maxCachedSessions: 0 } as const;

/** What `whenPinned` needs of a TLS socket. */
interface Pinnable {
  once(event: string, listener: (error: Error) => void): unknown;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: (error: Error) => void): unknown;
  destroy(): unknown;
  getPeerX509Certificate(): { readonly raw: Uint8Array } | undefined;
}

/** Hands a connecting socket on when its peer has shown the network's key; otherwise it is destroyed. */
export function whenPinned<Socket extends Pinnable>(
  socket: Socket,
  keySha256: string,
  done: (error: Error | null, socket: Socket) => void,
): void {
  const failed = (error: Error): void => done(error, socket);
  socket.once("error", failed);
  socket.once("secureConnect", () => {
    socket.off("error", failed);
    const failure = refusePeer(socket.getPeerX509Certificate()?.raw, keySha256);
    if (failure !== null) {
      // Whoever hears it from the socket too has heard it from us already.
      socket.on("error", () => {});
      socket.destroy();
    }
    done(failure, socket);
  });
}
