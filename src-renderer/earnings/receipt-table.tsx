import { say } from "../../src-protocol/say.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import type { ReceiptRow } from "../../src-protocol/state.ts";
import { amount, clock, count, dayAndMonth, moment, type Asset, unitOf } from "../parts/format.ts";
import { useRows } from "../parts/rows-of.ts";
import { TableBox } from "../parts/table-box.tsx";
import { type ReceiptHour, receiptHours } from "./receipt-hours.ts";
import { Word } from "../parts/word.tsx";
import { SHOWN_LATER } from "../parts/shown-later.ts";
import styles from "./receipt-table.module.css";

/** As many as are told at once. */
const ASKED = 500;
/** Of one hour. */
const SHOWN = 50;
const REFRESH_MS = 3_000;
const ask = async () => (await getBridge().call("earnings.receipts", { limit: ASKED })).receipts;

export function ReceiptTable() {
  const version = useDashboard(
    ({ state, connection }) => `${connection} ${state?.earnings.receipts} ${state?.earnings.claimedRao}`,
  );
  const asset = useDashboard(({ state }) => state?.earnings.asset ?? "test");
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const now = useNow(60_000);
  const { rows, failure } = useRows(ask, version, REFRESH_MS);
  return (
    <section className={controls["card"]} aria-labelledby="receipts-title">
      <div className={controls["cardHead"]}>
        <h2 id="receipts-title" className={controls["cardTitle"]}>
          <Word is="receipt">{say("Receipts")}</Word>
        </h2>
        <p className={controls["hint"]}>
          {say("One for each piece of work, signed by you and by the home that used it.")}
        </p>
      </div>
      {failure !== null && isOpen && <FailureNotice failure={failure} />}
      {rows !== null && rows.length === 0 && (
        <p className={controls["hint"]}>
          {say("No receipt yet. The first ones come with the first finished step.")}
        </p>
      )}
      {rows === null && !isOpen && <p className={controls["hint"]}>{say(SHOWN_LATER)}</p>}
      {rows !== null &&
        receiptHours(rows, rows.length < ASKED).map((hour, index) => (
          <HourOfReceipts key={hour.from} hour={hour} asset={asset} isFirst={index === 0} now={now} />
        ))}
    </section>
  );
}

/** An hour's sum, and its single receipts when it is opened. */
function HourOfReceipts({
  hour: { from, to, amountRao, receipts, isCut },
  asset,
  isFirst,
  now,
}: {
  hour: ReceiptHour;
  asset: Asset;
  isFirst: boolean;
  now: number;
}) {
  const isToday = new Date(from).toDateString() === new Date(now).toDateString();
  const name = `${isToday ? "" : `${dayAndMonth(from)} `}${clock(from)}–${clock(to)}`;
  const counted = { count: receipts.length };
  return (
    <details className={styles["hour"]} open={isFirst}>
      <summary>
        <span className={styles["when"]}>{name}</span>
        <span className={styles["count"]}>
          {isCut
            ? say("the newest {count, plural, one {receipt} other {# receipts}} of it", counted)
            : say("{count, plural, one {# receipt} other {# receipts}}", counted)}
        </span>
        <span className={styles["sum"]}>
          {amount(amountRao.toString())} <small>{unitOf(asset)}</small>
        </span>
      </summary>
      <ReceiptRows receipts={receipts.slice(0, SHOWN)} name={name} asset={asset} now={now} />
      {receipts.length > SHOWN && (
        <p className={controls["hint"]}>{say("The newest {shown} of this hour.", { shown: SHOWN })}</p>
      )}
    </details>
  );
}

function ReceiptRows({
  receipts,
  name,
  asset,
  now,
}: {
  receipts: readonly ReceiptRow[];
  name: string;
  asset: Asset;
  now: number;
}) {
  return (
    <TableBox name={say("Receipts as a table, {name}", { name })}>
      <caption className={controls["hidden"]}>{say("Receipts, newest first")}</caption>
      <thead>
        <tr>
          <th scope="col">{say("Credited")}</th>
          <th scope="col" className={controls["number"]} data-spare>
            {say("Slice")}
          </th>
          <th scope="col" className={controls["number"]}>
            {say("Step")}
          </th>
          <th scope="col" className={controls["number"]} data-spare>
            {say("Micro-batches")}
          </th>
          <th scope="col" className={controls["number"]} data-spare>
            {say("Tokens")}
          </th>
          <th scope="col" className={controls["number"]}>
            {say("Amount")}
            <span data-spare> ({unitOf(asset)})</span>
          </th>
          <th scope="col" data-spare>
            {say("Claim")}
          </th>
        </tr>
      </thead>
      <tbody>
        {receipts.map((receipt) => (
          <tr key={receipt.id}>
            <th scope="row">{moment(receipt.creditedAt, now)}</th>
            <td className={controls["number"]} data-spare>
              {receipt.stage + 1}
            </td>
            <td className={controls["number"]}>{count(receipt.step)}</td>
            <td className={controls["number"]} data-spare>
              {count(receipt.microBatches)}
            </td>
            <td className={controls["number"]} data-spare>
              {count(receipt.tokens)}
            </td>
            <td className={controls["number"]}>{amount(receipt.amountRao)}</td>
            <td data-spare>{receipt.claimId === null ? say("pending") : say("claimed")}</td>
          </tr>
        ))}
      </tbody>
    </TableBox>
  );
}
