import layout from "../parts/layout.module.css";
import { say } from "../../src-protocol/say.ts";
import { useCallback, useEffect, useState } from "react";
import type { MethodResult } from "../../src-protocol/methods.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import { ConsentCard } from "./consent-card.tsx";
import { KeyCard } from "./key-card.tsx";
import { PayoutCard } from "./payout-card.tsx";
import { WalletsCard } from "./wallets-card.tsx";

export type WalletList = MethodResult<"wallet.list">;

/** The folder of wallets, asked for when shown and again after each change. */
export function useWallets() {
  const [list, setList] = useState<WalletList | null>(null);
  const { failure, run } = useAction();
  const reload = useCallback(
    () => void run("list", async () => setList(await getBridge().call("wallet.list", {}))),
    // `run` is made anew each time and does the same.
    // oxlint-disable-next-line react/exhaustive-deps
    [],
  );
  useEffect(reload, [reload]);
  return { list, failure, reload };
}

/** Which key works here, where is it paid to, and what keys are there? */
export function Wallet() {
  const state = useDashboard(({ state }) => state);
  const { list, failure, reload } = useWallets();
  if (state === null) return null;
  return (
    <>
      {failure !== null && <FailureNotice failure={failure} />}
      {list === null && failure === null && (
        <section className={controls["card"]} aria-label={say("Your key")}>
          <p className={controls["empty"]}>{say("Reading the keys …")}</p>
        </section>
      )}
      {list !== null && (
        <>
          <div className={layout["pair"]}>
            <KeyCard list={list} address={state.node.hotkey} onChanged={reload} />
            <PayoutCard list={list} onChanged={reload} />
          </div>
          {state.earnings.asset !== "test" && list.payoutColdkey !== null && (
            <ConsentCard payoutColdkey={list.payoutColdkey} network={activeName(state.network.known)} />
          )}
          <WalletsCard list={list} onChanged={reload} />
        </>
      )}
    </>
  );
}

function activeName(known: readonly { name: string; active: boolean }[]): string {
  return known.find(({ active }) => active)?.name ?? say("the network");
}
