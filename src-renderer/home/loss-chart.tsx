import { phrase, say } from "../../src-protocol/say.ts";
import { useId, useState } from "react";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { chartSummary, lately, tableRows, thinned } from "./chart-points.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { count, lossText, moment, rate } from "../parts/format.ts";
import styles from "./loss-chart.module.css";
import { LossPlot } from "./loss-plot.tsx";
import { RangeChoice } from "../parts/range-choice.tsx";
import { TableBox } from "../parts/table-box.tsx";
import { useLanguage } from "../language/language.ts";
import { useAppearance } from "../frame/theme.ts";
import { SHOWN_LATER } from "../parts/shown-later.ts";
import { nextText } from "../../src-protocol/why.ts";

const MOST_DRAWN = 800;
const MOST_ROWS = 60;
const HOUR_MS = 3_600_000;

const SPANS = { hour: phrase("Last hour"), night: phrase("12 hours"), all: phrase("All") } as const;
const SPAN_MS: Readonly<Record<keyof typeof SPANS, number>> = {
  hour: HOUR_MS,
  night: 12 * HOUR_MS,
  all: Infinity,
};

/** The loss while it falls, as a line or as a table. */
export function LossChart() {
  const all = useDashboard(({ points }) => points);
  const [span, setSpan] = useState<keyof typeof SPANS>("all");
  const points = lately(all, SPAN_MS[span]);
  const [asTable, setAsTable] = useState(false);
  const [hoveredIndex, setHoveredIndex] = useState<number | null>(null);
  const appearance = useAppearance();
  const language = useLanguage();
  const tableId = useId();
  const known = useDashboard(({ pointsKnown }) => pointsKnown);
  const isLost = useDashboard(({ connection }) => connection === "lost");
  const run = useDashboard(({ state }) => state?.run ?? null);
  const drawn = thinned(points, MOST_DRAWN);
  const hovered = hoveredIndex === null ? null : (drawn[hoveredIndex] ?? null);
  // The figures of the state, as above the chart: points come a moment before or after it.
  const shown = hovered ?? run;
  return (
    <section className={controls["card"]} aria-labelledby="loss-title">
      <div className={controls["cardHead"]}>
        <h2 id="loss-title" className={controls["cardTitle"]}>
          {say("Loss")}
        </h2>
        <dl className={styles["legend"]}>
          <div data-line="training">
            <dt>{say("training")}</dt>
            <dd>{lossText(shown?.loss ?? null)}</dd>
          </div>
          <div data-line="held-out">
            <dt>{say("held-out")}</dt>
            <dd>{lossText(shown?.heldOutLoss ?? null)}</dd>
          </div>
          <div>
            <dt>{say("step")}</dt>
            <dd>{shown === null ? "–" : count(shown.step)}</dd>
          </div>
        </dl>
        <button
          type="button"
          className={`${controls["button"]} ${controls["quiet"]}`}
          disabled={points.length === 0}
          aria-expanded={asTable}
          aria-controls={tableId}
          onClick={() => setAsTable(!asTable)}
        >
          {asTable ? say("Show as chart") : say("Show as table")}
        </button>
      </div>
      {lately(all, HOUR_MS).length < all.length && (
        <div className={styles["spans"]}>
          <RangeChoice name={`${tableId}-span`} names={SPANS} value={span} onChange={setSpan} />
        </div>
      )}
      <div id={tableId}>
        {points.length === 0 ? (
          <div className={styles["noPoint"]}>
            {known ? <NoPoint /> : isLost && <p className={controls["empty"]}>{say(SHOWN_LATER)}</p>}
          </div>
        ) : asTable ? (
          <LossTable points={points} />
        ) : (
          <figure>
            <LossPlot key={`${appearance} ${language}`} points={drawn} onHover={setHoveredIndex} />
            <figcaption className={controls["hidden"]}>{chartSummary(points)}</figcaption>
          </figure>
        )}
      </div>
    </section>
  );
}

/** No chart without data: when the first point will come. */
function NoPoint() {
  const decision = useDashboard(({ state }) => state?.decision ?? null);
  const now = useNow(15_000);
  if (decision === null) return null;
  return (
    <p className={controls["empty"]}>
      {decision.action === "run"
        ? say("The first point comes with the first finished step, about a minute after the start.")
        : say("The first point comes with the first finished step. {next}", {
            next: nextText({ decision, override: null }, now),
          })}
    </p>
  );
}

function LossTable({ points }: { points: readonly HistoryPoint[] }) {
  const now = useNow(60_000);
  const rows = tableRows(points, MOST_ROWS);
  return (
    <TableBox name={say("Loss as a table")}>
      <caption className={controls["hidden"]}>
        {rows.length < points.length
          ? say("Loss in nats per token, newest first, thinned out")
          : say("Loss in nats per token, newest first")}
      </caption>
      <thead>
        <tr>
          <th scope="col">{say("Step")}</th>
          <th scope="col">{say("Finished")}</th>
          <th scope="col" className={controls["number"]}>
            {say("Training loss")}
          </th>
          <th scope="col" className={controls["number"]}>
            {say("Held-out loss")}
          </th>
          <th scope="col" className={controls["number"]}>
            {say("Tokens a second")}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((point) => (
          <tr key={point.step}>
            <th scope="row">{count(point.step)}</th>
            <td>{moment(point.at, now)}</td>
            <td className={controls["number"]}>{lossText(point.loss)}</td>
            <td className={controls["number"]}>{lossText(point.heldOutLoss)}</td>
            <td className={controls["number"]}>{rate(point.tokensPerSecond)}</td>
          </tr>
        ))}
      </tbody>
    </TableBox>
  );
}
