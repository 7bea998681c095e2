import type { ReactNode } from "react";
import type { RunState } from "../../src-protocol/state.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { TowerList } from "../home/tower-list.tsx";
import controls from "../parts/controls.module.css";
import { count, lossText, plural, rough } from "../parts/format.ts";
import { LossChart } from "../home/loss-chart.tsx";
import { choicesText, shapeText } from "./model-text.ts";
import styles from "./model.module.css";
import { WritesCard } from "./writes-card.tsx";

/** What is trained, for whom, and how far is it? */
export function Model() {
  const run = useDashboard(({ state }) => state?.run ?? null);
  const network = useDashboard(({ state }) => state?.network ?? null);
  const isResting = useDashboard(({ state }) => state?.decision.action === "pause");
  if (network === null) return null;
  if (run === null)
    return (
      <section className={controls["card"]} aria-label="The model">
        <p className={controls["empty"]}>
          {isResting
            ? "It rests. What is trained is shown here as soon as it works again and the network has answered."
            : "The network has not answered yet. What is trained is shown here a few seconds after the start."}
        </p>
      </section>
    );
  const forWhom =
    network.kind === "embedded"
      ? "this computer alone"
      : network.operator === ""
        ? network.name
        : `${network.name}, operated by ${network.operator}`;
  return (
    <>
      <div className={styles["pair"]}>
        <section className={controls["card"]} aria-labelledby="trained-title">
          <h2 id="trained-title" className={controls["cardTitle"]}>
            {run.name}
          </h2>
          <dl className={styles["rows"]}>
            <Row name="For">{forWhom}</Row>
            <Row name="Learns from">{run.corpus}</Row>
            <Row name="Size">
              {rough(run.parameterCount)} parameters, {shapeText(run.model)}
            </Row>
            <Row name="So far">
              {count(run.step)} {run.steps === null ? "steps" : `of ${count(run.steps)} steps`},{" "}
              {rough(run.step * run.tokensPerStep)} tokens
            </Row>
            <Row name="Loss">
              {lossText(run.loss)}
              {run.loss !== null && <Hint>{choicesText(run.loss)}</Hint>}
            </Row>
            <Row name="Held-out loss">
              {lossText(run.heldOutLoss)}
              <Hint>on text that it never trains on: whether it learned, or only remembers</Hint>
            </Row>
            <Row name="Interruptions">{interruptions(run)}</Row>
          </dl>
        </section>
        <section className={controls["card"]} aria-labelledby="slices-title">
          <div className={controls["cardHead"]}>
            <h2 id="slices-title" className={controls["cardTitle"]}>
              {plural(run.stages.length, "slice")}
            </h2>
            <p className={controls["hint"]}>yours is lit</p>
          </div>
          <TowerList run={run} isResting={isResting} withSizes />
          <p className={styles["flow"]}>
            Text goes in at slice 1 and the answer comes out on top; what was wrong travels back down, and
            each slice gets a little better.
          </p>
          {run.phase !== "training" && !isResting && <p className={styles["detail"]}>{run.detail}</p>}
        </section>
      </div>
      <WritesCard isHere={network.kind === "embedded"} />
      <LossChart />
    </>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Hint({ children }: { children: ReactNode }) {
  return <p className={controls["hint"]}>{children}</p>;
}

function interruptions({ recoveries, lastRecoveryMs, redone }: RunState): string {
  if (recoveries === 0 || lastRecoveryMs === null) return "none so far";
  const again =
    redone === undefined
      ? ""
      : `; ${plural(redone.byLostStages, "piece")} of work done again by the slice that lost a computer, ${count(redone.byOthers)} by others`;
  return `${count(recoveries)}; the last one took ${(lastRecoveryMs / 1000).toFixed(1)} s${again}`;
}
