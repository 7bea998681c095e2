import type { OperatorStatus } from "../../src-protocol/operator.ts";
import type { LinkKind } from "../../src-protocol/link-report.ts";
import type { RunHost } from "../runs/run-host.ts";
import { numberOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";

type Named = Omit<OperatorStatus, "run" | "question" | "dealt" | "codecs" | "owners" | "links" | "putAside">;

/** Who takes part, how they reach each other, and how far the run is. */
export function operatorStatus(named: Named, host: RunHost, store: Store): OperatorStatus {
  const owners = new Map<string, OperatorStatus["owners"][number]>();
  const links: Partial<Record<LinkKind, number>> = {};
  for (const { sessionKey, hotkey, memoryBytes, links: status } of host.nodes()) {
    const owner = owners.get(hotkey) ?? { hotkey, nodes: [] };
    owners.set(hotkey, owner);
    owner.nodes.push({
      sessionKey,
      hotkey,
      stage: host.stageOf(sessionKey),
      memoryBytes,
      receipts: receiptsOf(store, sessionKey),
      links: [...(status?.links ?? [])],
      reach: status?.reach.detail ?? "",
    });
    // Both ends tell of a link; the one that leads on counts it.
    for (const { kind, side } of status?.links ?? [])
      if (side === "next") links[kind] = (links[kind] ?? 0) + 1;
  }
  const none = { "this computer": 0, direct: 0, punched: 0, relayed: 0 };
  const { batch, microBatches, codecs } = host.run;
  const putAside = host.putAside();
  const question = host.question();
  return {
    ...named,
    run: host.view(),
    ...(question === null ? {} : { question }),
    dealt: { batch, microBatches },
    ...(codecs === undefined ? {} : { codecs }),
    owners: [...owners.values()],
    links: { ...none, ...links },
    ...(putAside.length > 0 && { putAside: [...putAside] }),
  };
}

function receiptsOf(store: Store, sessionKey: string): number {
  const worker = Buffer.from(sessionKey, "hex");
  return numberOf(store.get("SELECT count(*) AS n FROM receipts WHERE worker = :worker", { worker })?.n ?? 0);
}
