import type { ReactNode } from "react";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { amount, clock, count, duration, lossText, rate, unitOf } from "../parts/format.ts";
import styles from "./session-card.module.css";
import { sessionNumbers } from "./session-numbers.ts";

/** The short, honest report. */
export function SessionCard() {
  const state = useDashboard(({ state }) => state);
  const points = useDashboard(({ points }) => points);
  const now = useNow(10_000);
  if (state === null) return null;
  const { run, earnings } = state;
  const { tokens, workedMs, lossFell } = sessionNumbers(state, points, now);
  const earned = (BigInt(earnings.accruedRao) + BigInt(earnings.claimedRao)).toString();
  return (
    <section className={controls["card"]} aria-labelledby="session-title">
      <div className={controls["cardHead"]}>
        <h2 id="session-title" className={controls["cardTitle"]}>
          This session
        </h2>
        <p className={controls["hint"]}>since {clock(state.startedAt)}</p>
      </div>
      <dl className={styles["numbers"]}>
        <Figure name="Tokens" value={count(tokens)} testId="tokens">
          {duration(workedMs)} of work
        </Figure>
        <Figure name="Tokens a second" value={rate(run?.tokensPerSecond ?? null)}>
          {run === null ? "no run yet" : `step ${count(run.step)}`}
        </Figure>
        <Figure name="Earned so far" value={amount(earned)} unit={unitOf(earnings.asset)} testId="earned">
          {amount(earnings.accruedRao)} pending
        </Figure>
        <Figure name="Loss" value={lossText(run?.loss ?? null)} testId="loss">
          {lossFell === null
            ? "lower is better"
            : `${lossFell >= 0 ? "↓" : "↑"} ${Math.abs(lossFell).toFixed(2)} this session`}
        </Figure>
        <Figure name="Held-out loss" value={lossText(run?.heldOutLoss ?? null)}>
          on text it never trained on
        </Figure>
        <Figure name="Receipts" value={count(earnings.receipts)}>
          counter-signed steps
        </Figure>
      </dl>
    </section>
  );
}

function Figure({
  name,
  value,
  unit,
  testId,
  children,
}: {
  name: string;
  value: string;
  unit?: string;
  testId?: string;
  children: ReactNode;
}) {
  return (
    <div className={styles["figure"]}>
      <dt>{name}</dt>
      <dd>
        <span className={styles["value"]} data-testid={testId}>
          {value}
          {unit !== undefined && <small> {unit}</small>}
        </span>
        <span className={styles["note"]}>{children}</span>
      </dd>
    </div>
  );
}
