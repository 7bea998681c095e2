import { Trans } from "@lingui/react";
import { say } from "../../src-protocol/say.ts";
import type { ReactNode } from "react";
import { useDashboard } from "../bridge/dashboard.ts";
import { barsOf, sumOf } from "../earnings/earned-bars.ts";
import { useWorkedHours } from "../earnings/worked-hours.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { amount, count, decimals, duration, lossText, rate, unitOf } from "../parts/format.ts";
import { Word } from "../parts/word.tsx";
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
          {say("Today")}
        </h2>
        {asset === "test" && <p className={controls["hint"]}>{say("test units are worth nothing")}</p>}
      </div>
      <dl className={styles["numbers"]} data-resting={isResting || undefined}>
        <Figure
          name={say("Earned, {unit}", { unit: unitOf(asset) })}
          value={known ? amount(today.earnedRao.toString()) : "–"}
          isFirst
          testId="earned"
        >
          {today.perHourRao === null
            ? say("grows with every step")
            : say("{amount} for an hour of work", { amount: amount(today.perHourRao.toString()) })}
        </Figure>
        <Figure name={say("Worked")} value={known ? duration(today.workedMs) : "–"}>
          <Trans
            id="<0>{tokens}</0> tokens"
            values={{ tokens: known ? count(today.tokens) : "–" }}
            components={{ 0: <span data-testid="tokens" /> }}
          />
        </Figure>
        <Figure name={say("In all, {unit}", { unit: unitOf(asset) })} value={amount(inAll)}>
          {say("{amount} pending", { amount: amount(earnings.accruedRao) })}
        </Figure>
        <Figure name={say("Speed, tokens a second")} value={rate(run?.tokensPerSecond ?? null)}>
          {run === null ? say("no run yet") : say("step {step}", { step: count(run.step) })}
        </Figure>
        <Figure name={<Word is="loss">{say("Loss")}</Word>} value={lossText(run?.loss ?? null)} testId="loss">
          {lossNote(run)}
        </Figure>
        <Figure
          name={<Word is="heldOutLoss">{say("Held-out loss")}</Word>}
          value={lossText(run?.heldOutLoss ?? null)}
        >
          {say("on text it never trained on")}
        </Figure>
      </dl>
    </section>
  );
}

/** A loss means nothing without where it came from. */
function lossNote(run: { heldOutLossAtStart: number | null; loss: number | null } | null): string {
  if (run === null || run.loss === null || run.heldOutLossAtStart === null) return say("lower is better");
  const fell = run.heldOutLossAtStart - run.loss;
  return say("{change} since it knew nothing", {
    change: `${fell >= 0 ? "↓" : "↑"} ${decimals(Math.abs(fell), 2)}`,
  });
}

function Figure({
  name,
  value,
  isFirst,
  testId,
  children,
}: {
  name: ReactNode;
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
