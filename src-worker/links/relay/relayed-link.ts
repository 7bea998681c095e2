import { connect, createSecureContext, TLSSocket } from "node:tls";
import { Failure } from "../../../src-protocol/failure.ts";
import type { SessionKey } from "../../../src-protocol/keys.ts";
import type { ServiceAddress } from "../../../src-protocol/link-services.ts";
import type { SessionSigner } from "../../../src-protocol/signing.ts";
import type { Candidate } from "../candidate.ts";
import { FramedLink } from "../framed-link.ts";
import { systemClock } from "../link-clock.ts";
import type { LinkClock } from "../link-clock.ts";
import { LINK_TIMING } from "../link.ts";
import type { Link, LinkTiming } from "../link.ts";
import { linkCertificate } from "../tls/link-certificate.ts";
import { hearHello, sayHello } from "../tls/link-greeting.ts";
import { SocketPipe } from "../tls/link-socket-pipe.ts";
import { candidateOn, refuse } from "../tls/tls-link.ts";
import { throughRelay } from "./relay-dial.ts";

export interface RelayedOptions {
  readonly relay: ServiceAddress;
  readonly peer: SessionKey;
  readonly signer: SessionSigner;
  readonly signal: AbortSignal;
  readonly clock?: LinkClock;
  readonly timing?: LinkTiming;
}

/** After the relay has joined the two, TLS and hello may take so long. */
const GREETING_MS = 5_000;

/**
 * The dialling end of a link by way of the byte relay: TLS end to end, bound to both session keys,
 * so the relay sees ciphertext. Rejects as `throughRelay`, or with link-identity.
 */
export async function dialThroughRelay(options: RelayedOptions): Promise<Candidate> {
  const { relay, peer, signer, signal, clock = systemClock } = options;
  const socket = await throughRelay(relay, peer, signer, signal);
  const secure = connect({ socket, rejectUnauthorized: false, minVersion: "TLSv1.3" });
  const abort = (): void => void secure.destroy();
  signal.addEventListener("abort", abort);
  const cancel = clock.after(GREETING_MS, abort);
  const over = (): void => {
    cancel();
    signal.removeEventListener("abort", abort);
  };
  return await candidateOn(secure, "the relay", { ...options, expect: peer }, over, "relay");
}

/** The end that is dialled: waits at the relay until `peer` comes, 15 s at most. Rejects as `dialThroughRelay`. */
export async function takeThroughRelay(options: RelayedOptions): Promise<Link> {
  const { relay, peer, signer, signal, clock = systemClock, timing = LINK_TIMING } = options;
  const socket = await throughRelay(relay, peer, signer, signal);
  const secure = new TLSSocket(socket, {
    isServer: true,
    secureContext: createSecureContext({ ...linkCertificate(), minVersion: "TLSv1.3" }),
  });
  secure.on("error", () => {});
  const cancel = clock.after(GREETING_MS, () => secure.destroy());
  try {
    await new Promise<void>((resolve, reject) => {
      secure.once("secure", () => resolve());
      secure.once("error", reject);
      secure.once("close", () => reject(new Failure("link-refused", "The peer left the relay.")));
    });
    const remoteKey = await hearHello(secure, "dialer");
    if (remoteKey !== peer)
      throw new Failure("link-identity", "Another node than the neighbour came through the relay.");
    sayHello(secure, "listener", signer);
    return new FramedLink(remoteKey, new SocketPipe(secure, "relay"), clock, timing);
  } catch (error) {
    refuse(secure, error, clock);
    throw error;
  } finally {
    cancel();
  }
}
