import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { BTAUTH_HEADERS, BTAUTH_VERSION, btauthText } from "../../src-protocol/btauth.ts";
import {
  EPISTULA_HEADERS,
  EPISTULA_VERSION,
  EPISTULA_WINDOW_MS,
  boundBody,
  epistulaText,
} from "../../src-protocol/epistula.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { verifySr25519 } from "../../src-protocol/sr25519.ts";
import type { Store } from "../stores/store.ts";

export interface SignedRequest {
  readonly method: string;
  /** Path and query as received. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  /** The exact bytes received. */
  readonly body: Uint8Array;
}

/** What a request's headers say, of either kind. */
interface Stamp {
  readonly signedBy: Ss58Address;
  /** Unix milliseconds. */
  readonly timestamp: number;
  /** Good once. */
  readonly once: string;
  readonly text: string;
  readonly signature: string;
  readonly receiver: string;
}

const NOT_SIGNED =
  "The request is signed neither as btauth/1 nor as Epistula version 2 asks. Update the app, then try again.";

/** Who signed this request; it is good once and within 8 seconds of our clock. */
export async function requester(store: Store, request: SignedRequest, now: number): Promise<Ss58Address> {
  const isBtauth = request.headers[BTAUTH_HEADERS.version] !== undefined;
  const stamp = isBtauth ? btauthStamp(request) : epistulaStamp(request);
  if (stamp === null) throw new Failure("not-signed", NOT_SIGNED);
  const { signedBy, timestamp, text, signature, once, receiver } = stamp;
  // We have no hotkey of our own yet, so a request for somebody's hotkey is for somebody else.
  if (receiver !== "") {
    throw new Failure(
      "not-for-me",
      "The request was signed for another receiver, so it is not answered here.",
    );
  }
  if (Math.abs(now - timestamp) > EPISTULA_WINDOW_MS) {
    const seconds = Math.round(Math.abs(now - timestamp) / 1000).toLocaleString("en-US");
    throw new Failure(
      "stale-request",
      `This computer's clock is ${seconds} s ${timestamp > now ? "ahead of" : "behind"} the network's; 8 s are allowed. Set it, best by the internet; then what waits is accepted.`,
    );
  }
  if (!verifySr25519(signedBy, text, signature)) {
    throw new Failure("bad-signature", "The request's signature does not fit its content and its hotkey.");
  }
  // After the signature: nobody can use up another one's nonce.
  if (!(await useOnce(store, once, now))) {
    throw new Failure("replayed-request", "This very request was answered before. Sign a new one.");
  }
  return signedBy;
}

function btauthStamp({ method, target, headers, body }: SignedRequest): Stamp | null {
  const header = (name: keyof typeof BTAUTH_HEADERS): string => textOf(headers[BTAUTH_HEADERS[name]]);
  const signedBy = ss58Address.safeParse(header("hotkey"));
  const nonce = header("nonce");
  if (header("version") !== BTAUTH_VERSION || !signedBy.success || !/^\d{1,19}$/.test(nonce)) return null;
  if (header("crypto") !== "" && header("crypto") !== "sr25519") return null;
  const receiver = header("receiver");
  return {
    signedBy: signedBy.data,
    timestamp: Number(BigInt(nonce) / 1_000_000n),
    once: `${signedBy.data} ${BigInt(nonce)}`,
    text: btauthText({ method, target, bodySha256: sha256(body), nonce, hotkey: signedBy.data, receiver }),
    signature: header("signature"),
    receiver,
  };
}

const requestId = z.uuid();

function epistulaStamp({ method, target, headers, body }: SignedRequest): Stamp | null {
  const header = (name: keyof typeof EPISTULA_HEADERS): string => textOf(headers[EPISTULA_HEADERS[name]]);
  const uuid = requestId.safeParse(header("uuid"));
  const signedBy = ss58Address.safeParse(header("signedBy"));
  const timestamp = /^\d{1,15}$/.test(header("timestamp")) ? Number(header("timestamp")) : null;
  if (header("version") !== EPISTULA_VERSION || !uuid.success || !signedBy.success || timestamp === null)
    return null;
  const receiver = header("signedFor");
  return {
    signedBy: signedBy.data,
    timestamp,
    once: uuid.data.toLowerCase(),
    text: epistulaText(sha256(boundBody(method, target, body)), header("uuid"), timestamp, receiver),
    signature: header("signature"),
    receiver,
  };
}

function textOf(header: string | string[] | undefined): string {
  return typeof header === "string" ? header : "";
}

/** False when it was used within the window; on disk, so that a restart forgets none. */
function useOnce(store: Store, once: string, now: number): Promise<boolean> {
  return store.write(() => {
    store.run("DELETE FROM uuids WHERE at < :old", { old: now - 4 * EPISTULA_WINDOW_MS });
    return store.run("INSERT OR IGNORE INTO uuids VALUES (:once, :now)", { once, now }).changes === 1;
  });
}
