import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
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

const NOT_SIGNED = "The request is not signed as Epistula version 2 asks. Update the app, then try again.";

/** Who signed this request; it is good once and within 8 seconds of our clock. */
export async function requester(store: Store, request: SignedRequest, now: number): Promise<Ss58Address> {
  const header = (name: keyof typeof EPISTULA_HEADERS): string => {
    const value = request.headers[EPISTULA_HEADERS[name]];
    return typeof value === "string" ? value : "";
  };
  const uuid = z.uuid().safeParse(header("uuid"));
  const signedBy = ss58Address.safeParse(header("signedBy"));
  const timestamp = /^\d{1,15}$/.test(header("timestamp")) ? Number(header("timestamp")) : null;
  if (header("version") !== EPISTULA_VERSION || !uuid.success || !signedBy.success || timestamp === null) {
    throw new Failure("not-signed", NOT_SIGNED);
  }
  // We have no hotkey of our own yet, so a request for somebody's hotkey is for somebody else.
  if (header("signedFor") !== "") {
    throw new Failure(
      "not-for-me",
      "The request was signed for another receiver, so it is not answered here.",
    );
  }
  if (Math.abs(now - timestamp) > EPISTULA_WINDOW_MS) {
    throw new Failure(
      "stale-request",
      `This computer's clock is ${Math.round(Math.abs(now - timestamp) / 1000)} s ${timestamp > now ? "ahead of" : "behind"} the network's; 8 s are allowed. Set it, best by the internet; then what waits is accepted.`,
    );
  }
  const text = epistulaText(
    sha256(boundBody(request.method, request.target, request.body)),
    header("uuid"),
    timestamp,
    header("signedFor"),
  );
  if (!verifySr25519(signedBy.data, text, header("signature"))) {
    throw new Failure("bad-signature", "The request's signature does not fit its content and its hotkey.");
  }
  // After the signature: nobody can use up another one's uuid.
  if (!(await useUuid(store, uuid.data, now))) {
    throw new Failure("replayed-request", "This very request was answered before. Sign a new one.");
  }
  return signedBy.data;
}

/** False when the uuid was used within the window; on disk, so that a restart forgets none. */
function useUuid(store: Store, uuid: string, now: number): Promise<boolean> {
  return store.write(() => {
    store.run("DELETE FROM uuids WHERE at < :old", { old: now - 4 * EPISTULA_WINDOW_MS });
    return (
      store.run("INSERT OR IGNORE INTO uuids VALUES (:uuid, :now)", { uuid: uuid.toLowerCase(), now })
        .changes === 1
    );
  });
}
