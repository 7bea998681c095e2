import type { ReactNode } from "react";
import { useDashboard } from "../bridge/dashboard.ts";
import { barsOf, sumOf } from "../earnings/earned-bars.ts";
import { useWorkedHours } from "../earnings/worked-hours.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { amount, count, duration, lossText, rate, unitOf } from "../parts/format.ts";
import styles from "./today-card.module.css";

/** Is it running, until when, and what has it earned: the short, honest report. */
export function TodayCard() {
  const state = useDashboard(({ state }) => state);
  const now = useNow(10_000);
  const { rows } = useWorkedHours("today");
  if (state === null) return null;
  const { run, earnings } = state;
  const { asset } = earnings;
  const today = sumOf(barsOf(rows ?? [], asset, "today", now));
  const known = rows !== null;
  const inAll = (BigInt(earnings.accruedRao) + BigInt(earnings.claimedRao)).toString();
  const isResting = state.decision.action === "pause";
  return (
    <section className={controls["card"]} aria-labelledby="today-title">
      <div className={controls["cardHead"]}>
        <h2 id="today-title" className={controls["cardTitle"]}>
          Today
        </h2>
        {asset === "test" && <p className={controls["hint"]}>test units are worth nothing</p>}
      </div>
      <dl className={styles["numbers"]} data-resting={isResting || undefined}>
        <Figure
          name={`Earned, ${unitOf(asset)}`}
          value={known ? amount(today.earnedRao.toString()) : "–"}
          isFirst
          testId="earned"
        >
          {today.perHourRao === null
            ? "grows with every step"
            : `${amount(today.perHourRao.toString())} for an hour of work`}
        </Figure>
        <Figure name="Worked" value={known ? duration(today.workedMs) : "–"}>
          <span data-testid="tokens">{count(today.tokens)}</span> tokens
        </Figure>
        <Figure name={`In all, ${unitOf(asset)}`} value={amount(inAll)}>
          {amount(earnings.accruedRao)} pending
        </Figure>
        <Figure name="Speed, tokens a second" value={rate(run?.tokensPerSecond ?? null)}>
          {run === null ? "no run yet" : `step ${count(run.step)}`}
        </Figure>
        <Figure name="Loss" value={lossText(run?.loss ?? null)} testId="loss">
          {lossNote(run)}
        </Figure>
        <Figure name="Held-out loss" value={lossText(run?.heldOutLoss ?? null)}>
          on text it never trained on
        </Figure>
      </dl>
    </section>
  );
}

/** A loss means nothing without where it came from. */
function lossNote(run: { heldOutLossAtStart: number | null; loss: number | null } | null): string {
  if (run === null || run.loss === null || run.heldOutLossAtStart === null) return "lower is better";
  const fell = run.heldOutLossAtStart - run.loss;
  return `${fell >= 0 ? "↓" : "↑"} ${Math.abs(fell).toFixed(2)} since it knew nothing`;
}

function Figure({
  name,
  value,
  isFirst,
  testId,
  children,
}: {
  name: string;
  value: string;
  isFirst?: true;
  testId?: string;
  children: ReactNode;
}) {
  return (
    <div className={styles["figure"]} data-first={isFirst}>
      <dt>{name}</dt>
      <dd>
        <span className={styles["value"]}>
          <span data-testid={testId}>{value}</span>
        </span>
        <span className={styles["note"]}>{children}</span>
      </dd>
    </div>
  );
}
