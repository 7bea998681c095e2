import { decimals } from "./amounts.ts";
import { phrase, say } from "./say.ts";
import type { LinkKind, LinkReport, LinkStatus } from "./link-report.ts";
import { mbitText } from "./network-text.ts";

/** What is said of links between homes, the same in window and terminal. */

/** How the other side is reached, in a few words. */
export const LINK_WORDS = {
  "this computer": phrase("on this computer"),
  direct: phrase("direct"),
  punched: phrase("direct, through both routers"),
  relayed: phrase("through the network's relay, encrypted end to end"),
} as const satisfies Record<LinkKind, string>;

export function neighbourName({ side }: Pick<LinkReport, "side">): string {
  return side === "previous" ? say("Slice before mine") : say("Slice after mine");
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

/** What the owner should know about links as a whole; empty while all is well. */
export function linkNotices({ reach, hyperdhtOff }: LinkStatus): string[] {
  return [reach.detail, hyperdhtOff ?? ""].filter((text) => text !== "");
}
