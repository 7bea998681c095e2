import { say } from "../../src-protocol/say.ts";
import { useState } from "react";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { PayoutForm } from "../wallet/payout-card.tsx";
import { TakeKey } from "../wallet/take-key.tsx";
import { useWallets } from "../wallet/wallet.tsx";

/** The key that earns: made here, or one that its owner has; and an address that is paid instead of it. */
export function KeyStep() {
  const hotkey = useDashboard(({ state }) => state?.node.hotkey ?? "");
  const { list, failure, reload } = useWallets();
  const [isTaking, setTaking] = useState(false);
  const end = () => {
    setTaking(false);
    reload();
  };
  return (
    <>
      <section className={controls["card"]} aria-labelledby="earns-title">
        <div className={controls["cardHead"]}>
          <h2 id="earns-title" className={controls["cardTitle"]}>
            {say("The key that earns")}
          </h2>
          {!isTaking && list !== null && (
            <button type="button" className={controls["button"]} onClick={() => setTaking(true)}>
              {say("I have one already")}
            </button>
          )}
        </div>
        {isTaking && list !== null ? (
          <TakeKey wallets={list.wallets} onDone={end} onCancel={() => setTaking(false)} />
        ) : (
          <>
            <CopyText text={hotkey} what={say("address of your key")} />
            <p className={controls["hint"]}>
              {say(
                "It was made on this computer, and is kept here alone. You need not do anything: a copy can be saved later, under Wallet.",
              )}
            </p>
          </>
        )}
      </section>
      {list !== null && (
        <section className={controls["card"]} aria-labelledby="paid-title">
          <div className={controls["cardHead"]}>
            <h2 id="paid-title" className={controls["cardTitle"]}>
              {say("Paid to another address?")}
            </h2>
          </div>
          {list.payoutColdkey !== null && <CopyText text={list.payoutColdkey} what={say("payout address")} />}
          <p className={controls["hint"]}>
            {list.payoutColdkey === null
              ? say(
                  "If you have a Bittensor wallet, name its coldkey's address: its secret stays where it is. You can leave this empty and do it later.",
                )
              : say("What it earns is paid there.")}
          </p>
          <PayoutForm known={list.payoutColdkey} onChanged={reload} />
        </section>
      )}
      {failure !== null && <FailureNotice failure={failure} />}
    </>
  );
}
