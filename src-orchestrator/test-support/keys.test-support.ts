import * as schnorrkel from "@scure/sr25519";
import { BTAUTH_HEADERS, BTAUTH_VERSION, btauthText } from "../../src-protocol/btauth.ts";
import type { Delegation } from "../../src-protocol/delegation.ts";
import { delegationText } from "../../src-protocol/delegation.ts";
import { EPISTULA_HEADERS, EPISTULA_VERSION, boundBody, epistulaText } from "../../src-protocol/epistula.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { setOfMicroBatches } from "../../src-protocol/micro-batch-set.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import type { Neighbour, ReceiptBody, SignedReceipt } from "../../src-protocol/receipt.ts";
import { createSessionSigner, sha256 } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";

/** Real keys and signatures from small numbers, for tests. */

export const TEST_NETWORK = "test-network";

export interface TestHotkey {
  readonly address: Ss58Address;
  sign(text: string): string;
}

export function hotkey(number: number): TestHotkey {
  const secret = schnorrkel.secretFromSeed(new Uint8Array(32).fill(number + 1));
  return {
    address: encodeSs58(schnorrkel.getPublicKey(secret)),
    sign: (text) => `0x${Buffer.from(schnorrkel.sign(secret, Buffer.from(text))).toString("hex")}`,
  };
}

export function session(number: number): SessionSigner {
  return createSessionSigner(new Uint8Array(32).fill(number + 1));
}

export function delegate(
  by: TestHotkey,
  key: SessionKey,
  network = TEST_NETWORK,
  now = Date.now(),
  lastsMs = 3_600_000,
): Delegation {
  const body = {
    network,
    hotkey: by.address,
    sessionKey: key,
    notBefore: now - 60_000,
    notAfter: now + lastsMs,
  };
  return { body, signature: by.sign(delegationText(body)) };
}

/** Of two micro-batches of 32 tokens, signed by the worker and by those of its peers that are given. */
export function receipt(
  worker: SessionSigner,
  { previous = null, next = null }: { previous?: SessionSigner | null; next?: SessionSigner | null },
  change: Partial<ReceiptBody> & Pick<ReceiptBody, "stage" | "step">,
): SignedReceipt {
  const body: ReceiptBody = {
    network: TEST_NETWORK,
    runId: "test",
    microBatches: 2,
    tokens: 64,
    flops: 155_400_000,
    worker: worker.publicKey,
    previous: previous?.publicKey ?? null,
    next: next?.publicKey ?? null,
    x: previous === null ? null : sha256("x"),
    dy: next === null ? null : sha256("dy"),
    y: next === null ? null : sha256("y"),
    dx: previous === null ? null : sha256("dx"),
    link: sha256(`link ${change.step}`),
    finishedAt: 1_000,
    ...change,
  };
  const text = receiptText(body);
  return {
    body,
    workerSignature: worker.sign(text),
    previousSignature: previous?.sign(text) ?? null,
    nextSignature: next?.sign(text) ?? null,
  };
}

/** A replica's receipt of these micro-batches (32 tokens each), signed by whom each part says, unless by nobody. */
export function shareReceipt(
  worker: SessionSigner,
  parts: readonly {
    readonly side: Neighbour;
    readonly peer: SessionSigner;
    readonly microBatches: readonly number[];
    readonly isSilent?: boolean;
  }[],
  of: Partial<ReceiptBody> & Pick<ReceiptBody, "stage" | "step">,
  microBatches: readonly number[] = parts.flatMap((part) => part.microBatches),
): SignedReceipt {
  const whole = receipt(worker, {}, { ...of, microBatches: new Set(microBatches).size });
  const body: ReceiptBody = {
    ...whole.body,
    tokens: 32 * whole.body.microBatches,
    chain: { sequence: of.step, before: null },
    share: {
      microBatches: setOfMicroBatches(microBatches),
      peers: parts.map(({ side, peer, microBatches: its }) => ({
        side,
        key: peer.publicKey,
        microBatches: setOfMicroBatches(its),
        taken: sha256("taken"),
        given: sha256("given"),
      })),
    },
  };
  const text = receiptText(body);
  return {
    ...whole,
    body,
    workerSignature: worker.sign(text),
    peerSignatures: parts.map(({ peer, isSilent = false }) => (isSilent ? null : peer.sign(text))),
  };
}

let nonces = 0n;

/** As Bittensor's SDK 11 signs a request. */
export function btauthHeaders(
  by: TestHotkey,
  method: string,
  target: string,
  body: string,
  { now = Date.now() } = {},
): Record<string, string> {
  nonces += 1n;
  const nonce = String(BigInt(now) * 1_000_000n + nonces);
  const text = btauthText({
    method,
    target,
    bodySha256: sha256(body),
    nonce,
    hotkey: by.address,
    receiver: "",
  });
  return {
    [BTAUTH_HEADERS.version]: BTAUTH_VERSION,
    [BTAUTH_HEADERS.hotkey]: by.address,
    [BTAUTH_HEADERS.nonce]: nonce,
    [BTAUTH_HEADERS.signature]: by.sign(text),
  };
}

let uuids = 0;

export function signedHeaders(
  by: TestHotkey,
  method: string,
  target: string,
  body: string,
  { now = Date.now(), uuid = "", signedFor = "" } = {},
): Record<string, string> {
  uuids++;
  const id = uuid === "" ? `00000000-0000-4000-8000-${String(uuids).padStart(12, "0")}` : uuid;
  const hash = sha256(boundBody(method, target, Buffer.from(body)));
  return {
    [EPISTULA_HEADERS.version]: EPISTULA_VERSION,
    [EPISTULA_HEADERS.timestamp]: String(now),
    [EPISTULA_HEADERS.uuid]: id,
    [EPISTULA_HEADERS.signedBy]: by.address,
    [EPISTULA_HEADERS.signature]: by.sign(epistulaText(hash, id, now, signedFor)),
    ...(signedFor === "" ? {} : { [EPISTULA_HEADERS.signedFor]: signedFor }),
  };
}
