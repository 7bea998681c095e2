import { say } from "../../src-protocol/say.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { amount, count, moment, shortened, unitOf } from "../parts/format.ts";
import { useRows } from "../parts/rows-of.ts";
import { TableBox } from "../parts/table-box.tsx";
import { SHOWN_LATER } from "../parts/shown-later.ts";
import { Word } from "../parts/word.tsx";
import { Heard } from "../parts/heard.tsx";

const ask = async () => (await getBridge().call("earnings.claims", {})).claims;

function statusText({ status, detail, payment }: ClaimRow): string {
  if (status === "paid" && payment !== null)
    return say("paid at block {block}", { block: count(payment.block) });
  if (status === "accepted") return detail === null ? say("accepted, on its way") : say("held");
  return status === "pending" ? say("asked") : status === "paid" ? say("paid") : say("refused");
}

function isCounted({ status }: ClaimRow): boolean {
  return status === "accepted" || status === "paid";
}

export function ClaimTable() {
  const version = useDashboard(({ state, connection }) => `${connection} ${state?.earnings.claimedRao}`);
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const now = useNow(60_000);
  const { rows, failure } = useRows(ask, version, 0);
  return (
    <section className={controls["card"]} aria-labelledby="claims-title">
      <div className={controls["cardHead"]}>
        <h2 id="claims-title" className={controls["cardTitle"]}>
          <Word is="claim">{say("Claims")}</Word>
        </h2>
      </div>
      {failure !== null && isOpen && <FailureNotice failure={failure} />}
      {rows === null && !isOpen && <p className={controls["hint"]}>{say(SHOWN_LATER)}</p>}
      {rows !== null && rows.length === 0 && (
        <p className={controls["hint"]}>
          {say("No claim yet. The first one appears here when you press Claim.")}
        </p>
      )}
      {rows !== null && rows.length > 0 && (
        <TableBox name={say("Claims as a table")}>
          <caption className={controls["hidden"]}>{say("Claims, newest first")}</caption>
          <thead>
            <tr>
              <th scope="col">{say("When")}</th>
              <th scope="col" data-spare>
                {say("Claim")}
              </th>
              <th scope="col">{say("State")}</th>
              <th scope="col" data-spare>
                {say("Paid to")}
              </th>
              <th scope="col" className={controls["number"]}>
                {say("Receipts")}
              </th>
              <th scope="col" className={controls["number"]}>
                {say("Amount")}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((claim) => (
              <tr key={claim.claimId}>
                <th scope="row">{moment(claim.at, now)}</th>
                <td title={claim.claimId} data-spare>
                  {shortened(claim.claimId, 8, 4)}
                </td>
                <td>
                  {statusText(claim)}
                  {claim.detail !== null && (
                    <div className={controls["hint"]}>
                      <Heard text={claim.detail} />
                    </div>
                  )}
                </td>
                <td title={claim.payoutColdkey} data-spare>
                  {shortened(claim.payoutColdkey)}
                </td>
                <td className={controls["number"]}>{isCounted(claim) ? count(claim.receipts) : "–"}</td>
                <td className={controls["number"]}>
                  {amount(claim.amountRao)}
                  <span data-spare> {unitOf(claim.asset)}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </TableBox>
      )}
    </section>
  );
}
