import { phrase, say } from "../../src-protocol/say.ts";
import { worthOf, type Prices } from "../../src-protocol/price.ts";
import type { SettledPay, SettledWindow } from "../../src-protocol/settled-pay.ts";
import { withPoint } from "../../src-protocol/amounts.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { amount, moment, shortened, unitOf } from "../parts/format.ts";
import { useNow } from "../parts/clock-now.ts";
import { useRows } from "../parts/rows-of.ts";
import { TableBox } from "../parts/table-box.tsx";
import { SHOWN_LATER } from "../parts/shown-later.ts";

/** It changes with a payment alone, and then at once: it must agree with what stands beside it. */
const ASK_EVERY_MS = 1_000;

const WINDOWS = {
  today: phrase("Today"),
  "last-7-days": phrase("7 days"),
  "last-30-days": phrase("30 days"),
  ever: phrase("Ever"),
} as const satisfies Record<SettledWindow, string>;

const WHOSE = {
  this: phrase("This computer"),
  former: phrase("Its key of before"),
  other: phrase("Another computer of mine"),
} as const satisfies Record<SettledPay["devices"][number]["is"], string>;

interface Told {
  readonly settled: SettledPay;
  readonly prices: Prices;
}

const ask = async (): Promise<Told[]> => {
  const [settled, { prices }] = await Promise.all([
    getBridge().call("earnings.settled", {}),
    getBridge().call("price.get", {}),
  ]);
  return [{ settled, prices }];
};

/** What has arrived, over stated times and by computer: of payments alone, nothing expected. */
export function ArrivedCard() {
  const version = useDashboard(
    ({ state, connection }) => `${connection} ${state?.earnings.paidRao} ${state?.earnings.hotkey}`,
  );
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const { rows, failure } = useRows(ask, version, ASK_EVERY_MS);
  const [told] = rows ?? [];
  return (
    <section className={controls["card"]} aria-labelledby="arrived-title">
      <div className={controls["cardHead"]}>
        <h2 id="arrived-title" className={controls["cardTitle"]}>
          {say("Arrived")}
        </h2>
        <p className={controls["hint"]}>{say("payments alone, by the moment they were booked")}</p>
      </div>
      {failure !== null && isOpen && <FailureNotice failure={failure} />}
      {rows === null && !isOpen && <p className={controls["hint"]}>{say(SHOWN_LATER)}</p>}
      {told !== undefined && <ArrivedTable {...told} />}
    </section>
  );
}

export function ArrivedTable({ settled: { asset, windows, devices }, prices }: Told) {
  const now = useNow(60_000);
  const unit = unitOf(asset);
  // SECURITY: test units are never shown as money.
  const price = asset === "test" ? undefined : prices[asset];
  const isSeveral = devices.length > 1;
  if (windows.every(({ payments }) => payments === 0))
    return (
      <p className={controls["hint"]}>
        {say("No payment has arrived yet. The first one appears here when a claim is paid.")}
      </p>
    );
  return (
    <>
      <TableBox name={say("Arrived, as a table")}>
        <caption className={controls["hidden"]}>
          {say("Arrived by time and by computer, {unit}", { unit })}
        </caption>
        <thead>
          <tr>
            <th scope="col">{say("When")}</th>
            {devices.map(({ hotkey, is }) => (
              <th
                key={hotkey}
                scope="col"
                title={hotkey}
                className={controls["number"]}
                data-spare={isSeveral || undefined}
              >
                {isSeveral ? `${say(WHOSE[is])}, ${shortened(hotkey, 4, 4)}` : unit}
              </th>
            ))}
            {isSeveral && (
              <th scope="col" className={controls["number"]}>
                {say("Together, {unit}", { unit })}
              </th>
            )}
            {price !== undefined && (
              <th scope="col" className={controls["number"]}>
                {say("about {currency}", { currency: price.currency })}
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {windows.map(({ window, creditedRao }, at) => (
            <tr key={window}>
              <th scope="row">{say(WINDOWS[window])}</th>
              {devices.map((device) => (
                <td key={device.hotkey} className={controls["number"]} data-spare={isSeveral || undefined}>
                  {amount(device.windows[at]?.creditedRao ?? "0")}
                </td>
              ))}
              {isSeveral && <td className={controls["number"]}>{amount(creditedRao)}</td>}
              {price !== undefined && (
                <td className={controls["number"]}>{withPoint(worthOf(BigInt(creditedRao), price))}</td>
              )}
            </tr>
          ))}
        </tbody>
      </TableBox>
      {price !== undefined && (
        <p className={controls["hint"]}>
          {say("By your own price of {price} {currency}, from {source}, entered {moment}.", {
            price: withPoint(price.price),
            currency: price.currency,
            source: price.source,
            moment: moment(price.at, now),
          })}
        </p>
      )}
    </>
  );
}
