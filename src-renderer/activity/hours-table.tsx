import { say } from "../../src-protocol/say.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { barsOf } from "../earnings/earned-bars.ts";
import { useComputerHours, useWorkedHours } from "../earnings/worked-hours.ts";
import controls from "../parts/controls.module.css";
import { amount, count, duration, unitOf } from "../parts/format.ts";
import { drawnText } from "./drawn-text.ts";
import { TableBox } from "../parts/table-box.tsx";
import { dayText } from "./by-day.ts";

/** When it worked in the last 30 days, and what came of it: counted here, and sent to nobody. */
export function HoursTable({ now }: { now: number }) {
  const asset = useDashboard(({ state }) => state?.earnings.asset ?? "test");
  const { rows } = useWorkedHours("month");
  const computer = useComputerHours("month").rows ?? [];
  const days = barsOf(rows ?? [], asset, "month", now)
    .filter(({ workedMs }) => workedMs > 0)
    .toReversed();
  return (
    <section className={controls["card"]} aria-labelledby="days-title">
      <div className={controls["cardHead"]}>
        <h2 id="days-title" className={controls["cardTitle"]}>
          {say("The last 30 days")}
        </h2>
        <p className={controls["hint"]}>{say("kept on this computer, sent to nobody")}</p>
      </div>
      {rows !== null && days.length === 0 && (
        <p className={controls["empty"]}>
          {say("No day yet on which it worked. The first one appears with its first hour.")}
        </p>
      )}
      {days.length > 0 && (
        <TableBox name={say("Days on which it worked")}>
          <thead>
            <tr>
              <th scope="col">{say("Day")}</th>
              <th scope="col" className={controls["number"]}>
                {say("Worked")}
              </th>
              <th scope="col" className={controls["number"]} data-spare>
                {say("Tokens")}
              </th>
              <th scope="col" className={controls["number"]}>
                {say("Earned, {unit}", { unit: unitOf(asset) })}
              </th>
            </tr>
          </thead>
          <tbody>
            {days.map(({ from, workedMs, tokens, earnedRao }) => (
              <tr key={from}>
                <th scope="row">{dayText(from, now)}</th>
                <td className={controls["number"]}>{duration(workedMs)}</td>
                <td className={controls["number"]} data-spare>
                  {count(tokens)}
                </td>
                <td className={controls["number"]}>{amount(earnedRao.toString())}</td>
              </tr>
            ))}
          </tbody>
        </TableBox>
      )}
      {days.length > 0 && <p className={controls["hint"]}>{drawnText(computer)}</p>}
    </section>
  );
}
