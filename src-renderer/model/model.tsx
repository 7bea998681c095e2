import layout from "../parts/layout.module.css";
import { Row, Rows } from "../parts/rows.tsx";
import { say } from "../../src-protocol/say.ts";
import type { ReactNode } from "react";
import type { RunState } from "../../src-protocol/state.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { TowerList } from "../home/tower-list.tsx";
import controls from "../parts/controls.module.css";
import { count, decimals, lossText, rough } from "../parts/format.ts";
import { LossChart } from "../home/loss-chart.tsx";
import { choicesText, shapeText } from "./model-text.ts";
import styles from "./model.module.css";
import { WritesCard } from "./writes-card.tsx";
import { RunDetail } from "../parts/run-detail.tsx";
import { Word } from "../parts/word.tsx";

/** What is trained, for whom, and how far is it? */
export function Model() {
  const run = useDashboard(({ state }) => state?.run ?? null);
  const network = useDashboard(({ state }) => state?.network ?? null);
  const isResting = useDashboard(({ state }) => state?.decision.action === "pause");
  if (network === null) return null;
  if (run === null)
    return (
      <section className={controls["card"]} aria-label={say("The model")}>
        <p className={controls["empty"]}>
          {isResting
            ? say(
                "It rests. What is trained is shown here as soon as it works again and the network has answered.",
              )
            : say(
                "The network has not answered yet. What is trained is shown here a few seconds after the start.",
              )}
        </p>
      </section>
    );
  const forWhom =
    network.kind === "embedded"
      ? say("this computer alone")
      : network.operator === ""
        ? network.name
        : say("{network}, operated by {operator}", { network: network.name, operator: network.operator });
  return (
    <>
      <div className={layout["pair"]}>
        <section className={controls["card"]} aria-labelledby="trained-title">
          <h2 id="trained-title" className={controls["cardTitle"]}>
            <span lang="en">{run.name}</span>
          </h2>
          <Rows>
            <Row name={say("For")}>{forWhom}</Row>
            <Row name={say("Learns from")}>
              <span lang="en">{run.corpus}</span>
            </Row>
            <Row name={<Word is="parameters">{say("Size")}</Word>}>
              {say("{count} parameters, {shape}", {
                count: rough(run.parameterCount),
                shape: shapeText(run.model),
              })}
            </Row>
            <Row name={<Word is="step">{say("So far")}</Word>}>
              {run.steps === null
                ? say("{step} steps, {tokens} tokens", {
                    step: count(run.step),
                    tokens: rough(run.step * run.tokensPerStep),
                  })
                : say("{step} of {steps} steps, {tokens} tokens", {
                    step: count(run.step),
                    steps: count(run.steps),
                    tokens: rough(run.step * run.tokensPerStep),
                  })}
            </Row>
            <Row name={<Word is="loss">{say("Loss")}</Word>}>
              {lossText(run.loss)}
              {run.loss !== null && <Hint>{choicesText(run.loss)}</Hint>}
            </Row>
            <Row name={<Word is="heldOutLoss">{say("Held-out loss")}</Word>}>
              {lossText(run.heldOutLoss)}
              <Hint>{say("on text that it never trains on: whether it learned, or only remembers")}</Hint>
            </Row>
            <Row name={say("Interruptions")}>{interruptions(run)}</Row>
          </Rows>
        </section>
        <section className={controls["card"]} aria-labelledby="slices-title">
          <div className={controls["cardHead"]}>
            <h2 id="slices-title" className={controls["cardTitle"]}>
              <Word is="slice">
                {say("{count, plural, one {# slice} other {# slices}}", { count: run.stages.length })}
              </Word>
            </h2>
            <p className={controls["hint"]}>{say("yours is lit")}</p>
          </div>
          <TowerList run={run} isResting={isResting} withSizes />
          <p className={styles["flow"]}>
            {say(
              "Text goes in at slice 1 and the answer comes out on top; what was wrong travels back down, and each slice gets a little better.",
            )}
          </p>
          {run.phase !== "training" && !isResting && (
            <p className={styles["detail"]}>
              <RunDetail text={run.detail} />
            </p>
          )}
        </section>
      </div>
      <WritesCard isHere={network.kind === "embedded"} />
      <LossChart />
      <p className={controls["hint"]}>
        <a href="#glossary">{say("All words of this app, explained")}</a>
      </p>
    </>
  );
}

function Hint({ children }: { children: ReactNode }) {
  return <p className={controls["hint"]}>{children}</p>;
}

function interruptions({ recoveries, lastRecoveryMs, redone }: RunState): string {
  if (recoveries === 0 || lastRecoveryMs === null) return say("none so far");
  const again =
    redone === undefined
      ? ""
      : say(
          "{mine, plural, one {# piece} other {# pieces}} of work done again by the slice that lost a computer, {others} by others",
          { mine: redone.byLostStages, others: count(redone.byOthers) },
        );
  const last = say("{count}; the last one took {seconds} s", {
    count: count(recoveries),
    seconds: decimals(lastRecoveryMs / 1000, 1),
  });
  return again === "" ? last : `${last}; ${again}`;
}
