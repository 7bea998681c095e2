import { phrase, say } from "../../src-protocol/say.ts";
import { useState } from "react";
import { formatTao } from "../../src-protocol/units.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { amount, clock, count, date, dayAndMonth, decimals, duration, unitOf } from "../parts/format.ts";
import { RangeChoice } from "../parts/range-choice.tsx";
import { TableBox } from "../parts/table-box.tsx";
import { type Bar, barsAsCsv, barsAsJson, barsOf, costOf, type Range, sumOf } from "./earned-bars.ts";
import styles from "./earned-chart.module.css";
import { useComputerHours, useWorkedHours } from "./worked-hours.ts";

const NAMES: Record<Range, string> = {
  today: phrase("Today"),
  week: phrase("7 days"),
  month: phrase("30 days"),
  all: phrase("12 months"),
};
const WIDTH = 640;
const HEIGHT = 150;
const GAP = 3;
const MOST_LABELS = 7;

/** Earnings as people count them: by hours, days and months. */
export function EarnedChart() {
  const [range, setRange] = useState<Range>("week");
  const [asTable, setAsTable] = useState(false);
  const asset = useDashboard(({ state }) => state?.earnings.asset ?? "test");
  const electricity = useDashboard(({ state }) => state?.rules.electricity ?? null);
  const now = useNow(60_000);
  const { rows } = useWorkedHours(range);
  const computer = useComputerHours(range).rows ?? [];
  const bars = barsOf(rows ?? [], asset, range, now);
  const sum = sumOf(bars);
  const cost = electricity === null || rows === null ? null : costOf(sum.workedMs, electricity, computer);
  const unit = unitOf(asset);
  return (
    <section className={controls["card"]} aria-labelledby="earned-title">
      <div className={controls["cardHead"]}>
        <h2 id="earned-title" className={controls["cardTitle"]}>
          {say("Earned")}
        </h2>
        <RangeChoice name="earned-range" names={NAMES} value={range} onChange={setRange} />
      </div>
      <dl className={styles["sums"]}>
        <div>
          <dt>{say(NAMES[range])}</dt>
          <dd>
            <span data-testid="earned-range">{rows === null ? "–" : amount(sum.earnedRao.toString())}</span>{" "}
            <small>{unit}</small>
          </dd>
        </div>
        <div>
          <dt>{say("Worked")}</dt>
          <dd>{rows === null ? "–" : duration(sum.workedMs)}</dd>
        </div>
        <div>
          <dt>{say("An hour of work")}</dt>
          <dd>
            {sum.perHourRao === null ? (
              "–"
            ) : (
              <>
                {amount(sum.perHourRao.toString())} <small>{unit}</small>
              </>
            )}
          </dd>
        </div>
        {electricity !== null && (
          <div>
            <dt>{say("Electricity, about")}</dt>
            <dd>{cost === null ? "–" : decimals(cost, 2)}</dd>
          </div>
        )}
      </dl>
      {asTable ? (
        <BarTable bars={bars} range={range} unit={unit} />
      ) : (
        <BarDrawing bars={bars} range={range} unit={unit} isKnown={rows !== null} />
      )}
      <div className={styles["foot"]}>
        <button
          type="button"
          className={`${controls["button"]} ${controls["quiet"]}`}
          onClick={() => setAsTable(!asTable)}
        >
          {asTable ? say("Show as chart") : say("Show as table")}
        </button>
        <a
          className={`${controls["button"]} ${controls["quiet"]}`}
          download={`train-at-home-${range}.csv`}
          href={`data:text/csv;charset=utf-8,${encodeURIComponent(barsAsCsv(bars, formatTao, unit))}`}
        >
          {say("Export CSV")}
        </a>
        <a
          className={`${controls["button"]} ${controls["quiet"]}`}
          download={`train-at-home-${range}.json`}
          href={`data:application/json;charset=utf-8,${encodeURIComponent(barsAsJson(bars, formatTao, asset))}`}
        >
          {say("Export JSON")}
        </a>
        <p className={controls["hint"]}>
          {say("Counted on this computer since it was installed or updated.")}
        </p>
      </div>
    </section>
  );
}

function BarDrawing({
  bars,
  range,
  unit,
  isKnown,
}: {
  bars: readonly Bar[];
  range: Range;
  unit: string;
  isKnown: boolean;
}) {
  const most = bars.reduce((top, { earnedRao }) => (earnedRao > top ? earnedRao : top), 0n);
  const step = WIDTH / Math.max(1, bars.length);
  const height = (rao: bigint) =>
    most === 0n ? 0 : Math.max(2, Number((rao * BigInt(HEIGHT * 100)) / most) / 100);
  const every = Math.ceil(bars.length / MOST_LABELS);
  return (
    <div className={styles["plot"]}>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT + 1}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={summary(bars, range, unit)}
        className={styles["bars"]}
      >
        <path className={styles["base"]} d={`M0 ${HEIGHT + 0.5}H${WIDTH}`} />
        {bars.map((bar, index) => (
          <g key={bar.from} data-now={index === bars.length - 1 && range !== "today" ? true : undefined}>
            {bar.earnedRao > 0n && (
              <rect
                x={index * step + GAP / 2}
                y={HEIGHT - height(bar.earnedRao)}
                width={Math.max(1, step - GAP)}
                height={height(bar.earnedRao)}
                rx={Math.min(3, step / 4)}
              >
                <title>
                  {say("{bar}: {amount} {unit} in {time}", {
                    bar: label(bar, range, true),
                    amount: amount(bar.earnedRao.toString()),
                    unit,
                    time: duration(bar.workedMs),
                  })}
                </title>
              </rect>
            )}
          </g>
        ))}
      </svg>
      <div className={styles["labels"]} aria-hidden="true">
        {bars.map((bar, index) => (
          <span key={bar.from}>
            {(bars.length - 1 - index) % every === 0 && <span>{label(bar, range, false)}</span>}
          </span>
        ))}
      </div>
      {isKnown && most === 0n && (
        <p className={styles["nothing"]}>
          {say("Nothing in this time. A bar appears a few seconds after a step of training.")}
        </p>
      )}
    </div>
  );
}

function BarTable({ bars, range, unit }: { bars: readonly Bar[]; range: Range; unit: string }) {
  const rows = bars.filter(({ earnedRao, workedMs }) => earnedRao > 0n || workedMs > 0).toReversed();
  if (rows.length === 0) return <p className={controls["empty"]}>{say("Nothing in this time.")}</p>;
  return (
    <TableBox name={say("Earned as a table")}>
      <caption className={controls["hidden"]}>{say("Earned, newest first")}</caption>
      <thead>
        <tr>
          <th scope="col">{say("When")}</th>
          <th scope="col" className={controls["number"]}>
            {say("Worked")}
          </th>
          <th scope="col" className={controls["number"]}>
            {say("Tokens")}
          </th>
          <th scope="col" className={controls["number"]}>
            {say("Earned ({unit})", { unit })}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((bar) => (
          <tr key={bar.from}>
            <th scope="row">{label(bar, range, true)}</th>
            <td className={controls["number"]}>{duration(bar.workedMs)}</td>
            <td className={controls["number"]}>{count(bar.tokens)}</td>
            <td className={controls["number"]}>{amount(bar.earnedRao.toString())}</td>
          </tr>
        ))}
      </tbody>
    </TableBox>
  );
}

function label({ from }: Bar, range: Range, isWhole: boolean): string {
  if (range === "today") return isWhole ? `${clock(from)}–${clock(from + 3_600_000)}` : clock(from);
  if (range === "all") return date(from, isWhole ? { month: "long", year: "numeric" } : { month: "short" });
  if (range === "week")
    return date(from, isWhole ? { weekday: "long", day: "numeric", month: "short" } : { weekday: "short" });
  return dayAndMonth(from);
}

function summary(bars: readonly Bar[], range: Range, unit: string): string {
  const some = bars.filter(({ earnedRao }) => earnedRao > 0n);
  const { earnedRao } = sumOf(bars);
  if (some.length === 0) return say("{range}: nothing earned.", { range: say(NAMES[range]) });
  const best = some.reduce((top, bar) => (bar.earnedRao > top.earnedRao ? bar : top));
  return say("{range}: {amount} {unit}, most of it {best} with {best_amount}.", {
    range: say(NAMES[range]),
    amount: amount(earnedRao.toString()),
    unit,
    best: label(best, range, true),
    best_amount: amount(best.earnedRao.toString()),
  });
}
