import { byOwnClock } from "../../src-protocol/own-clock.ts";
import { heard, isKnown } from "../../src-protocol/say.ts";
import { useNow } from "./clock-now.ts";

/** What the network says of its run now, in the reader's language where it is known there, and by the reader's clock. */
export function RunDetail({ text }: { text: string }) {
  const now = useNow(60_000);
  return <span lang={isKnown(text) ? undefined : "en"}>{byOwnClock(heard(text), now)}</span>;
}
