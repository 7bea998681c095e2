import { ScreenLink } from "../parts/screen-link.tsx";
import { Trans } from "@lingui/react";
import { say } from "../../src-protocol/say.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { formatTao } from "../../src-protocol/units.ts";
import { ClaimButton } from "./claim-button.tsx";
import { ClaimTable } from "./claim-table.tsx";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { useDashboard } from "../bridge/dashboard.ts";
import styles from "./earnings.module.css";
import { momentText } from "../../src-protocol/reason-text.ts";
import { useNow } from "../parts/clock-now.ts";
import { amount, count, money, shortened, unitOf } from "../parts/format.ts";
import { ArrivedCard } from "./arrived-card.tsx";
import { EarnedChart } from "./earned-chart.tsx";
import { PriceCard } from "./price-card.tsx";
import { ReceiptTable } from "./receipt-table.tsx";
import { Word } from "../parts/word.tsx";
import { Heard } from "../parts/heard.tsx";

/** What did I earn, and for which work? */
export function Earnings() {
  const earnings = useDashboard(({ state }) => state?.earnings ?? null);
  const chain = useDashboard(({ state }) => state?.chain ?? null);
  const unpaid = useDashboard(({ state }) => state?.node.unpaid ?? null);
  const refused = useDashboard(({ state }) => state?.node.refused ?? null);
  const now = useNow(60_000);
  if (earnings === null || chain === null) return null;
  const unit = unitOf(earnings.asset);
  return (
    <>
      {earnings.asset === "test" && (
        <p className={controls["note"]}>
          <Trans
            id="<0>Test units, worth nothing.</0> The network pays them to show how earning works: every amount below is counted and signed like a real one."
            components={{ 0: <strong /> }}
          />
        </p>
      )}
      <div className={styles["top"]}>
        <section className={controls["card"]} aria-labelledby="pending-title">
          <h2 id="pending-title" className={styles["label"]}>
            <Word is="pending">{say("Pending")}</Word>
          </h2>
          <p className={styles["amount"]} title={`${formatTao(BigInt(earnings.accruedRao))} ${unit}`}>
            <span data-testid="accrued">{amount(earnings.accruedRao)}</span> <small>{unit}</small>
          </p>
          <p className={controls["hint"]}>
            {earnings.nextClaimAt === null
              ? say("for counter-signed work, not claimed yet")
              : say("for counter-signed work, not claimed yet; claimed by itself {moment}", {
                  moment: momentText(earnings.nextClaimAt, now),
                })}
          </p>
          {unpaid !== null && (
            <p className={controls["hint"]}>
              <Heard text={unpaid} />
            </p>
          )}
          {refused !== null && (
            <p className={controls["hint"]}>
              <Heard text={refused} />
            </p>
          )}
          {earnings.later !== null && (
            <p className={controls["hint"]}>
              {say(
                "{amount} of it can be claimed from block {block} on: the clock was wrong when it was earned.",
                {
                  amount: money(earnings.later.amountRao, earnings.asset),
                  block: count(earnings.later.fromBlock),
                },
              )}
            </p>
          )}
          <ClaimButton earnings={earnings} />
        </section>
        <section className={controls["card"]} aria-labelledby="claimed-title">
          <h2 id="claimed-title" className={styles["label"]}>
            {say("Claimed")}
          </h2>
          <p className={styles["amount"]} title={`${formatTao(BigInt(earnings.claimedRao))} ${unit}`}>
            <span data-testid="claimed">{amount(earnings.claimedRao)}</span> <small>{unit}</small>
          </p>
          <p className={controls["hint"]}>{paidText(earnings)}</p>
        </section>
        <section className={controls["card"]} aria-labelledby="account-title">
          <h2 id="account-title" className={styles["label"]}>
            {say("Paid to")}
          </h2>
          <dl className={styles["account"]}>
            <div>
              <dt>
                <Word is="hotkey">{say("Your key (hotkey)")}</Word>
              </dt>
              <dd>
                <CopyText text={earnings.hotkey} what={say("hotkey")} />
              </dd>
            </div>
            <div>
              <dt>
                <Word is="payoutAddress">{say("Payout address")}</Word>
              </dt>
              <dd>
                {earnings.payoutColdkey === earnings.hotkey ? (
                  <>
                    <Trans
                      id="your key itself; <0>name another</0>"
                      components={{ 0: <ScreenLink to="wallet" /> }}
                    />
                  </>
                ) : (
                  <CopyText text={earnings.payoutColdkey} what={say("payout address")} />
                )}
              </dd>
            </div>
            {chain.balanceRao !== null && (
              <div>
                <dt>{say("Balance")}</dt>
                <dd>{formatTao(BigInt(chain.balanceRao), 2)} τ</dd>
              </div>
            )}
            <div>
              <dt>
                <Word is={chain.source === "chain" ? "chain" : "block"}>
                  {chain.source === "chain" ? say("Chain") : say("Network clock")}
                </Word>
              </dt>
              <dd>
                {chain.connected ? say("block {block}", { block: count(chain.block) }) : say("not reached")}
              </dd>
            </div>
            {!chain.connected && chain.detail !== "" && (
              <p className={controls["hint"]}>
                <Heard text={chain.detail} />
              </p>
            )}
          </dl>
        </section>
      </div>
      {earnings.former
        .filter(({ accruedRao }) => accruedRao !== "0")
        .map(({ hotkey, asset, accruedRao, isHere }) => (
          <p key={hotkey} className={controls["note"]}>
            <Trans
              id="<0>{amount} of another key.</0> It was earned with {key}."
              values={{ amount: money(accruedRao, asset), key: shortened(hotkey) }}
              components={{ 0: <strong /> }}
            />{" "}
            {isHere
              ? say("Claim takes it along.")
              : say(
                  "Its file is not here any more: take it in again under Wallet, and Claim takes it along.",
                )}
          </p>
        ))}
      <EarnedChart />
      <ArrivedCard />
      <ClaimTable />
      <ReceiptTable />
      <PriceCard />
    </>
  );
}

/** What of it has arrived; and how many receipts there are, claimed or not. */
function paidText({ claimedRao, paidRao, receipts }: DaemonState["earnings"]): string {
  const all = { receipts: count(receipts), paid: amount(paidRao) };
  if (claimedRao === "0") return say("nothing yet; {receipts} receipts are pending", all);
  return claimedRao === paidRao
    ? say("all of it paid; {receipts} receipts with what is pending", all)
    : say("{paid} of it paid, the rest on its way; {receipts} receipts with what is pending", all);
}
