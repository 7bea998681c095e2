import { z } from "zod";
import { sessionKey } from "./keys.ts";
import { codecName } from "./link-codecs.ts";

/** How two nodes reach each other, best first; a better kind is tried again while a worse one carries the work. */
export const LINK_KINDS = ["this computer", "direct", "punched", "relayed"] as const;
export const linkKind = z.enum(LINK_KINDS);
export type LinkKind = z.infer<typeof linkKind>;

export const linkTransport = z.enum(["memory", "tls", "hyperdht"]);
export type LinkTransport = z.infer<typeof linkTransport>;

/** The road that a link takes now; it may get better while the link lives. */
export const linkPath = z.strictObject({ kind: linkKind, transport: linkTransport });
export type LinkPath = z.infer<typeof linkPath>;

/** One sentence for people: at most this long. */
const sentence = z.string().max(400);
const mbit = z.number().nonnegative().max(1e9);
/** A day. */
const MOST_MS = 86_400_000;

/** One open link of a worker, as its owner may see it. */
export const linkReport = z.strictObject({
  peer: sessionKey,
  /** Which neighbour of the pipeline it leads to, or `own`: another computer of the same slice. */
  side: z.enum(["previous", "own", "next"]),
  ...linkPath.shape,
  /** Of the last heartbeat that was answered; null before the first. */
  roundTripMs: z.number().nonnegative().max(MOST_MS).nullable(),
  /** Mean of the last few seconds, Mbit/s of frames: what was used, not what there is. */
  mbitUp: mbit,
  mbitDown: mbit,
  /** How the last tensor each way was encoded: activations go to `next`, gradients to `previous`, sums to `own`. Null: none yet. */
  sentAs: codecName.nullable(),
  receivedAs: codecName.nullable(),
  /** How long finding this path took; null on the side that was dialled. */
  dialMs: z.number().nonnegative().max(MOST_MS).nullable(),
  /** Why no better kind was had, in plain words; null: there is no better kind. */
  why: sentence.nullable(),
});
export type LinkReport = z.infer<typeof linkReport>;

/**
 * Whether others can dial this computer: `unknown` until somebody has tried. `detail` is the sentence
 * for its owner, what was tried and what to do; empty while all is well.
 */
export const linkReach = z.strictObject({
  state: z.enum(["unknown", "reachable", "relayed", "unreachable"]),
  detail: sentence,
});
export type LinkReach = z.infer<typeof linkReach>;

/** Of so many a worker tells. */
export const MOST_LINKS = 16;

/** Everything about links that a worker tells its daemon (IPC) and its orchestrator (control). */
export const linkStatus = z.strictObject({
  links: z.array(linkReport).max(MOST_LINKS),
  reach: linkReach,
  /** Set while HyperDHT is not used on this computer, with the reason: it crashed too often. */
  hyperdhtOff: sentence.nullable(),
});
export type LinkStatus = z.infer<typeof linkStatus>;
