import type { Ss58Address } from "../../src-protocol/keys.ts";
import { MOST_OWN_COMPUTERS } from "../../src-protocol/own-computers.ts";
import type { OwnComputersAnswer } from "../../src-protocol/own-computers.ts";
import { accruedRao, sameOwner } from "../ledger/index.ts";
import type { RunHost } from "../runs/run-host.ts";
import { numberOf, orNull } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";

/** An owner's computers as the network sees them now: the asking hotkey's own first. */
export function ownComputers(
  store: Store,
  host: Pick<RunHost, "nodes" | "stageOf" | "isLive">,
  hotkey: Ss58Address,
): OwnComputersAnswer {
  const nodes = host.nodes();
  const keys = [hotkey, ...(sameOwner(store, hotkey, MOST_OWN_COMPUTERS - 1)?.others ?? [])];
  return {
    keys: keys.map((key) => ({
      hotkey: key,
      accruedRao: String(accruedRao(store, key)),
      receipts:
        orNull(store.get("SELECT receipts FROM hotkeys WHERE address = :key", { key })?.receipts, numberOf) ??
        0,
      computers: nodes
        .filter((node) => node.hotkey === key)
        .slice(0, MOST_OWN_COMPUTERS)
        .map(({ sessionKey, links }) => ({
          sessionKey,
          stage: host.stageOf(sessionKey),
          isLive: host.isLive(sessionKey),
          reach: links?.reach.detail ?? "",
        })),
    })),
  };
}
