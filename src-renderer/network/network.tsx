import layout from "../parts/layout.module.css";
import { ActiveNetwork } from "./active-network.tsx";
import { AskedCard } from "./asked-card.tsx";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { JoinCard } from "./join-card.tsx";
import { KnownNetworks } from "./known-networks.tsx";
import { LinkList } from "./link-list.tsx";
import { OtherComputers } from "./other-computers.tsx";
import { OfferCard } from "./offer-card.tsx";
import { useAction } from "../parts/use-action.ts";

/** With whom does this computer train, and how does it reach them? */
export function Network() {
  const network = useDashboard(({ state }) => state?.network ?? null);
  const answering = useAction();
  if (network === null) return null;
  const { offer } = network;
  const answer = (name: string, consent: boolean) =>
    void answering.run(name, () => getBridge().call("network.answer", { consent }));
  if (offer !== null)
    return (
      <>
        <OfferCard
          offer={offer}
          busy={answering.busy}
          onYes={() => answer("join", true)}
          onNo={() => answer("decline", false)}
        />
        {answering.failure !== null && <FailureNotice failure={answering.failure} />}
      </>
    );
  return (
    <div className={layout["stack"]}>
      <AskedCard />
      <div className={layout["pair"]}>
        <ActiveNetwork network={network} />
        <JoinCard />
      </div>
      <LinkList network={network} />
      {network.kind === "remote" && <OtherComputers />}
      <KnownNetworks network={network} />
    </div>
  );
}
