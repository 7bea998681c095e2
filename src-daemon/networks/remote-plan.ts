import { availableParallelism } from "node:os";
import type { KnownNetwork } from "../../src-protocol/networks.ts";
import type { Home } from "../data-folder/home.ts";
import type { Card } from "../providers/cards.ts";
import { onCards } from "../providers/card-workers.ts";
import type { StoredNetwork } from "./networks-store.ts";
import type { SessionPlan } from "./network-session.ts";
import { pinnedReach } from "./reach.ts";
import { threadsPerWorker } from "../runs/run-plan.ts";
import type { Hotkey } from "../wallet/wallet.ts";

export interface RemoteParts {
  readonly home: Home;
  readonly own: Hotkey;
  readonly known: KnownNetwork[];
  /** Each gets a worker, where there are several. */
  readonly cards: readonly Card[];
}

/** A joined network: this computer's workers alone, with all its cores, and folders of their own. */
export function remotePlan({ home, own, known, cards }: RemoteParts, joined: StoredNetwork): SessionPlan {
  const { id, name, operator, address, otherAddresses, network, access } = joined;
  const { worker, claims } = home.joined(id);
  return {
    view: {
      kind: "remote",
      id,
      name,
      operator,
      url: address,
      connected: false,
      away: null,
      neighbours: 0,
      links: null,
      known,
      offer: null,
    },
    asset: "test",
    reach: pinnedReach(access, own.address),
    claimFolder: claims,
    members: onCards({ name: "worker", hotkey: own, folder: worker }, cards),
    supervised: { kind: "remote", url: address, others: otherAddresses },
    worker: { network, access, threads: threadsPerWorker(availableParallelism(), 1) },
  };
}
