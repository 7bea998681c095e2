import { heard, isKnown } from "../../src-protocol/say.ts";

/** A sentence of the daemon's in the reader's language; one that is not known there stays English, and is marked so. */
export function Heard({ text }: { text: string }) {
  return <span lang={isKnown(text) ? undefined : "en"}>{heard(text)}</span>;
}
