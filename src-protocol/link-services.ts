import { z } from "zod";
import { ed25519Signature, sessionKey } from "./keys.ts";

/** What a network offers its nodes so that they find each other: told in the control welcome. */
export const serviceAddress = z.strictObject({
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65_535),
});
export type ServiceAddress = z.infer<typeof serviceAddress>;

const mbitPerSecond = z.number().positive().max(1e9);

export const linkServices = z.strictObject({
  /** The network's own DHT nodes (UDP), never the public ones; several, so that a router that changes ports per destination is seen. */
  bootstrap: z.array(serviceAddress).min(1).max(8),
  /** Blind relay of HyperDHT links (UDP), by its key; null: refused, `refusal` says why. */
  datagramRelay: z.strictObject({ key: sessionKey, address: serviceAddress, mbitPerSecond }).nullable(),
  /** Blind relay of TLS links (TCP), for networks that block UDP. */
  byteRelay: z.strictObject({ address: serviceAddress, mbitPerSecond }).nullable(),
  /** Why there is no relay, in the words for a node's owner; empty when there is one. */
  refusal: z.string().max(200),
});
export type LinkServices = z.infer<typeof linkServices>;

/**
 * What a node signs to be let onto the byte relay. The nonce is the relay's, fresh for each
 * connection; the peer's key keeps the proof from being used for another pairing.
 */
export function relayProofText(nonce: string, peer: string): string {
  return `Train at Home byte relay v1\n${nonce}\n${peer}`;
}

/** A node's one line to the byte relay, and the relay's one line back. */
export const RELAY_NONCE_BYTES = 32;
export const RELAY_GREETING_LIMIT_BYTES = 1024;
export const relayGreeting = z.strictObject({ sessionKey, peer: sessionKey, signature: ed25519Signature });
export const relayAnswer = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("paired") }),
  z.strictObject({ type: z.literal("refused"), code: z.string().max(64), message: z.string().max(400) }),
]);
export type RelayAnswer = z.infer<typeof relayAnswer>;
