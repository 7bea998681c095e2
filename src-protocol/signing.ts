import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
} from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { SessionKey } from "./keys.ts";
import { sessionKey } from "./keys.ts";

/** ed25519 in raw hex, on Node's own crypto. Not for the renderer. */
export interface SessionSigner {
  readonly publicKey: SessionKey;
  /** 64-byte signature over the UTF-8 text, as hex. */
  sign(text: string): string;
  /** Seed and public key, 64 bytes: for a transport that makes its own handshake with this key. Never leaves the process. */
  transportKey(): Uint8Array;
}

// RFC 8410: the fixed DER in front of a raw 32-byte ed25519 key.
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** A fresh session key, or the one that a 32-byte seed names (tests). */
export function createSessionSigner(seed?: Uint8Array): SessionSigner {
  const privateKey =
    seed === undefined
      ? generateKeyPairSync("ed25519").privateKey
      : createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  const publicBytes = spki.subarray(SPKI_PREFIX.length);
  return {
    publicKey: sessionKey.parse(publicBytes.toString("hex")),
    transportKey() {
      const pkcs8 = privateKey.export({ format: "der", type: "pkcs8" });
      return Buffer.concat([pkcs8.subarray(PKCS8_PREFIX.length), publicBytes]);
    },
    sign: (text) => sign(null, Buffer.from(text), privateKey).toString("hex"),
  };
}

/** True when `signature` (hex) is `publicKey`'s over the UTF-8 text; false for anything malformed. */
export function verifySession(publicKey: SessionKey, text: string, signature: string): boolean {
  if (!/^[0-9a-f]{128}$/.test(signature)) return false;
  return verify(null, Buffer.from(text), keyObject(publicKey), Buffer.from(signature, "hex"));
}

/** The same on Node's pool of threads: the caller's thread goes on meanwhile. */
export function verifySessionAside(publicKey: SessionKey, text: string, signature: string): Promise<boolean> {
  if (!/^[0-9a-f]{128}$/.test(signature)) return Promise.resolve(false);
  return new Promise((resolve) => {
    verify(null, Buffer.from(text), keyObject(publicKey), Buffer.from(signature, "hex"), (error, isRight) =>
      resolve(error === null && isRight),
    );
  });
}

const keyObjects = new Map<string, KeyObject>();

function keyObject(publicKey: SessionKey): KeyObject {
  const cached = keyObjects.get(publicKey);
  if (cached !== undefined) return cached;
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, Buffer.from(publicKey, "hex")]),
    format: "der",
    type: "spki",
  });
  if (keyObjects.size > 10_000) keyObjects.clear();
  keyObjects.set(publicKey, key);
  return key;
}

export function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Of the tensors that crossed one border in one step: SHA-256 over their digests in the order of the micro-batches. */
export function tensorsDigest(digests: readonly string[]): string {
  return sha256(digests.join("\n"));
}

/**
 * The id of a statement, which adds up receipts: a chain over the receipts' ids (SHA-256 of their
 * signed texts) in the order of their steps. Whoever has the receipts can make it again, also when
 * the network keeps them no more.
 */
export function statementId(receiptIds: readonly string[]): string {
  return receiptIds.reduce(chainReceipt, STATEMENT_START);
}

export const STATEMENT_START = "";

export function chainReceipt(chain: string, receiptId: string): string {
  return sha256(`Train at Home statement v1\n${chain}\n${receiptId}`);
}

/** The root a claim carries: SHA-256 over the ids of the statements that it rests on, sorted, one a line. */
export function receiptsRoot(statementIds: readonly string[]): string {
  return sha256([...statementIds].sort().join("\n"));
}
