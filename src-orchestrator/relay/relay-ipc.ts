import { z } from "zod";
import { sessionKey } from "../../src-protocol/keys.ts";
import { linkServices } from "../../src-protocol/link-services.ts";

/** Orchestrator ↔ its relay process, over Node's IPC channel. */

/** A router's ways with ports are known after four answers from different ports. */
export const DHT_NODES = 4;

const port = z.int().min(0).max(65_535);
const rate = z.number().positive();

export const relaySettings = z.strictObject({
  /** To bind to. */
  host: z.string(),
  /** Under which nodes reach it. */
  publicHost: z.string().min(1).max(255),
  /** Of the DHT's nodes and the datagram relay; empty: any. */
  udpPorts: z.array(port).max(16),
  /** Of the byte relay; 0: any. */
  tcpPort: port,
  /** Names the relay: 32 bytes of hex. */
  seed: z.string().regex(/^[0-9a-f]{64}$/),
  /** What one node may send through the relays, and all together; Mbit/s. */
  nodeMbitPerSecond: rate,
  totalMbitPerSecond: rate,
  /** Open connections to the byte relay, and streams through the datagram relay. */
  connections: z.int().positive(),
});
export type RelaySettings = z.infer<typeof relaySettings>;

export const toRelay = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("start"), settings: relaySettings }),
  /** From now on these pairs may be joined, and no others; open streams of others end. */
  z.strictObject({ type: z.literal("pairs"), pairs: z.array(z.tuple([sessionKey, sessionKey])) }),
  z.strictObject({ type: z.literal("stop") }),
]);
export type ToRelay = z.infer<typeof toRelay>;

export const relayStatus = z.strictObject({
  /** Pairs joined now. */
  byteStreams: z.int().nonnegative(),
  datagramStreams: z.int().nonnegative(),
  waiting: z.int().nonnegative(),
  bytes: z.number().nonnegative(),
  /** Connections refused since the start, by code. */
  refused: z.record(z.string(), z.int()),
});
export type RelayStatus = z.infer<typeof relayStatus>;

export const fromRelay = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("listening"), services: linkServices, udpPorts: z.array(port) }),
  z.strictObject({ type: z.literal("status"), status: relayStatus }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type FromRelay = z.infer<typeof fromRelay>;
