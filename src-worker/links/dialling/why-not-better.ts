import type { LinkPath } from "../../../src-protocol/link-report.ts";
import type { OwnRouter } from "../hyperdht/dht-node.ts";
import type { Road } from "./dial-plan.ts";

export interface DialTale {
  readonly lost: readonly { readonly road: Road; readonly why: string | null }[];
  /** What the transport knows about it, while the path is what it is. */
  readonly why: () => string | null;
}

const LIMIT = 400;

/** In plain words, why a link is not of a better kind; null: it is as good as it gets, or nobody knows. */
export function whyNotBetter(
  { kind, transport }: LinkPath,
  tale: DialTale | null,
  router: OwnRouter,
): string | null {
  switch (kind) {
    case "this computer":
    case "direct":
      return null;
    case "punched":
      return "Neither router lets others in unasked: a way was opened from both sides at once.";
    case "relayed": {
      const known = tale?.why() ?? routerSentence(router);
      if (transport !== "tls") return known;
      const udp = tale?.lost.find(({ road }) => road.by === "hyperdht");
      const direct = tale?.lost.find(({ road }) => road.by === "tls");
      const parts = [udp?.why ?? known, direct === undefined ? null : `direct: ${direct.why ?? "no answer"}`];
      const text = parts.filter((part) => part !== null).join(" · ");
      return text === "" ? null : text.slice(0, LIMIT);
    }
  }
}

export function routerSentence(router: OwnRouter): string | null {
  switch (router) {
    case "changes ports":
      return "This computer's router changes ports for every destination: relayed.";
    case "keeps ports":
      return "The other computer's router could not be opened from outside: relayed.";
    case "none":
    case "unknown":
      return null;
  }
}
