import { z } from "zod";
import { sha256Hex } from "./keys.ts";
import { linkStatus } from "./link-report.ts";
import { networkCard } from "./network-card.ts";

/** The word by which commands name the embedded network. */
export const THIS_COMPUTER = "this-computer";

/** Of a joined network: the first 16 hex digits of its key's SHA-256. It names the network's folder, so nothing else may. */
export const networkId = z.string().regex(/^[0-9a-f]{16}$/);
export type NetworkId = z.infer<typeof networkId>;

/** One line of text; what can be in one is looked at by whoever reads it. */
export const invitationText = z.string().trim().min(1).max(4096);

const name = networkCard.shape.name;
/** Of the orchestrator: `https://host:port`. */
const address = z.url().max(300);

/**
 * What joining would mean, shown before the yes. All of it is the network's own word, taken over a
 * connection that is pinned to its key.
 */
export const networkOffer = z.strictObject({
  id: networkId,
  address,
  /** Of its public key: what the operator can read out for comparison. */
  keySha256: sha256Hex,
  card: networkCard,
  /** This computer has joined it already. */
  joined: z.boolean(),
});
export type NetworkOffer = z.infer<typeof networkOffer>;

/** A network that this computer has joined and remembers, whether it is active or not. */
export const knownNetwork = z.strictObject({
  id: networkId,
  name,
  /** In the operator's own words; empty: not said. */
  operator: networkCard.shape.operator,
  address,
  active: z.boolean(),
  /** Unix milliseconds of the yes. */
  joinedAt: z.int().nonnegative(),
  /** Its snapshots, receipts under way and claims; kept when another is active, and after leaving. */
  folder: z.string(),
});
export type KnownNetwork = z.infer<typeof knownNetwork>;

/** While the active network does not answer. */
export const networkAway = z.strictObject({
  /** Unix milliseconds. */
  since: z.int().nonnegative(),
  /** Null: it is being tried just now. */
  nextTryAt: z.int().nonnegative().nullable(),
  /** "nothing answers there", without a full stop. */
  why: z.string().max(300),
});
export type NetworkAway = z.infer<typeof networkAway>;

/** Of the state tree: the network that is active now, and the others that are remembered. */
export const networkState = z.strictObject({
  kind: z.enum(["embedded", "remote"]),
  /** Null: the embedded one. */
  id: networkId.nullable(),
  name,
  /** Empty: not said. */
  operator: networkCard.shape.operator,
  url: z.string().nullable(),
  connected: z.boolean(),
  /** Null while it answers, and for the embedded one, which is started again by itself. */
  away: networkAway.nullable(),
  /** Neighbour processes on this computer. */
  neighbours: z.int().nonnegative(),
  /** Of this computer's worker; null while it has none to tell of. */
  links: linkStatus.nullable(),
  /** Newest first. */
  known: z.array(knownNetwork).max(64),
  /** An invitation that Train at Home was started with and that waits for a yes; nothing works until then. */
  offer: networkOffer.nullable(),
});
export type NetworkView = z.infer<typeof networkState>;
