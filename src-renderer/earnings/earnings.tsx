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
import { EarnedChart } from "./earned-chart.tsx";
import { ReceiptTable } from "./receipt-table.tsx";

/** What did I earn, and for which work? */
export function Earnings() {
  const earnings = useDashboard(({ state }) => state?.earnings ?? null);
  const chain = useDashboard(({ state }) => state?.chain ?? null);
  const unpaid = useDashboard(({ state }) => state?.node.unpaid ?? null);
  const now = useNow(60_000);
  if (earnings === null || chain === null) return null;
  const unit = unitOf(earnings.asset);
  return (
    <>
      {earnings.asset === "test" && (
        <p className={controls["note"]}>
          <strong>Test units, worth nothing.</strong> The network on this computer pays them to show how
          earning works: every amount below is counted and signed like a real one.
        </p>
      )}
      <div className={styles["top"]}>
        <section className={controls["card"]} aria-labelledby="pending-title">
          <h2 id="pending-title" className={styles["label"]}>
            Pending
          </h2>
          <p className={styles["amount"]} title={`${formatTao(BigInt(earnings.accruedRao))} ${unit}`}>
            <span data-testid="accrued">{amount(earnings.accruedRao)}</span> <small>{unit}</small>
          </p>
          <p className={controls["hint"]}>
            for counter-signed work, not claimed yet
            {earnings.nextClaimAt !== null && `; claimed by itself ${momentText(earnings.nextClaimAt, now)}`}
          </p>
          {unpaid !== null && <p className={controls["hint"]}>{unpaid}</p>}
          {earnings.later !== null && (
            <p className={controls["hint"]}>
              {money(earnings.later.amountRao, earnings.asset)} of it can be claimed from block{" "}
              {count(earnings.later.fromBlock)} on: the clock was wrong when it was earned.
            </p>
          )}
          <ClaimButton accruedRao={earnings.accruedRao} />
        </section>
        <section className={controls["card"]} aria-labelledby="claimed-title">
          <h2 id="claimed-title" className={styles["label"]}>
            Claimed
          </h2>
          <p className={styles["amount"]} title={`${formatTao(BigInt(earnings.claimedRao))} ${unit}`}>
            <span data-testid="claimed">{amount(earnings.claimedRao)}</span> <small>{unit}</small>
          </p>
          <p className={controls["hint"]}>
            {amount(earnings.paidRao)} of it paid, the rest on its way; {count(earnings.receipts)} receipts
            with what is pending
          </p>
        </section>
        <section className={controls["card"]} aria-labelledby="account-title">
          <h2 id="account-title" className={styles["label"]}>
            Paid to
          </h2>
          <dl className={styles["account"]}>
            <div>
              <dt>Your key (hotkey)</dt>
              <dd>
                <CopyText text={earnings.hotkey} what="hotkey" />
              </dd>
            </div>
            <div>
              <dt>Payout address</dt>
              <dd>
                {earnings.payoutColdkey === earnings.hotkey ? (
                  <>
                    your key itself; <a href="#wallet">name another</a>
                  </>
                ) : (
                  <CopyText text={earnings.payoutColdkey} what="payout address" />
                )}
              </dd>
            </div>
            {chain.balanceRao !== null && (
              <div>
                <dt>Balance</dt>
                <dd>{formatTao(BigInt(chain.balanceRao), 2)} τ</dd>
              </div>
            )}
            <div>
              <dt>{chain.source === "chain" ? "Chain" : "Network clock"}</dt>
              <dd>{chain.connected ? `block ${count(chain.block)}` : "not reached"}</dd>
            </div>
            {!chain.connected && chain.detail !== "" && <p className={controls["hint"]}>{chain.detail}</p>}
          </dl>
        </section>
      </div>
      {earnings.former
        .filter(({ accruedRao }) => accruedRao !== "0")
        .map(({ hotkey, asset, accruedRao, isHere }) => (
          <p key={hotkey} className={controls["note"]}>
            <strong>{money(accruedRao, asset)} of another key.</strong> It was earned with {shortened(hotkey)}
            .{" "}
            {isHere
              ? "Claim takes it along."
              : "Its file is not here any more: take it in again under Wallet, and Claim takes it along."}
          </p>
        ))}
      <EarnedChart />
      <ClaimTable />
      <ReceiptTable />
    </>
  );
}
