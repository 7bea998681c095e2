import { decimals } from "./amounts.ts";
import { phrase, say } from "./say.ts";
import type { LinkKind, LinkReport, LinkStatus } from "./link-report.ts";
import type { CodecName } from "./link-codecs.ts";
import { mbitText } from "./network-text.ts";

/** What is said of links between homes, the same in window and terminal. */

/** How the other side is reached, in a few words. */
export const LINK_WORDS = {
  "this computer": phrase("on this computer"),
  direct: phrase("direct"),
  punched: phrase("direct, through both routers"),
  relayed: phrase("through the network's relay, encrypted end to end"),
} as const satisfies Record<LinkKind, string>;

const SIDES = {
  previous: phrase("Slice before mine"),
  own: phrase("Same slice as mine"),
  next: phrase("Slice after mine"),
} as const satisfies Record<LinkReport["side"], string>;

export function neighbourName({ side }: Pick<LinkReport, "side">): string {
  return say(SIDES[side]);
}

/** "24 ms"; a dash before the first heartbeat was answered. */
export function roundTripText({ roundTripMs }: Pick<LinkReport, "roundTripMs">): string {
  if (roundTripMs === null) return "–";
  return roundTripMs < 10 ? `${decimals(roundTripMs, 1)} ms` : `${Math.round(roundTripMs)} ms`;
}

/** "3.1 up, 0.4 down", in Mbit/s. */
export function rateText({ mbitUp, mbitDown }: Pick<LinkReport, "mbitUp" | "mbitDown">): string {
  return say("{up} up, {down} down", { up: mbitText(mbitUp), down: mbitText(mbitDown) });
}

/** Bits that a value of a tensor takes on the wire, without the scales of blocks. */
const CODEC_BITS = { f32: 32, f16: 16, int8b64: 8, int4h: 4 } as const satisfies Record<CodecName, number>;

function codecText(codec: CodecName): string {
  return say("{bits} bits ({codec})", { bits: CODEC_BITS[codec], codec });
}

/** "8 bits (int8b64) both ways", of each value of activations and gradients; a dash before the first tensor. */
export function codecsText({ sentAs, receivedAs }: Pick<LinkReport, "sentAs" | "receivedAs">): string {
  if (sentAs === null || receivedAs === null) {
    const one = sentAs ?? receivedAs;
    return one === null ? "–" : codecText(one);
  }
  if (sentAs === receivedAs) return say("{codec} both ways", { codec: codecText(sentAs) });
  return say("{sent} sent, {received} received", {
    sent: codecText(sentAs),
    received: codecText(receivedAs),
  });
}

/** What the owner should know about links as a whole; empty while all is well. */
export function linkNotices({ reach, hyperdhtOff }: LinkStatus): string[] {
  return [reach.detail, hyperdhtOff ?? ""].filter((text) => text !== "");
}
