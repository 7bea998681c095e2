import { say } from "../../src-protocol/say.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { Word } from "../parts/word.tsx";
import { rough } from "../parts/format.ts";
import styles from "./tower.module.css";
import { TowerList } from "./tower-list.tsx";
import { RunDetail } from "../parts/run-detail.tsx";

/** The whole model as a tower of slices, mine lit. */
export function Tower() {
  const run = useDashboard(({ state }) => state?.run ?? null);
  const isResting = useDashboard(({ state }) => state?.decision.action === "pause");
  const isOpen = useDashboard(({ connection }) => connection === "open");
  return (
    <section className={controls["card"]} aria-labelledby="tower-title">
      <div className={controls["cardHead"]}>
        <h2 id="tower-title" className={controls["cardTitle"]}>
          {say("The model")}
        </h2>
        {run !== null && (
          <p className={controls["hint"]}>
            <Word is="parameters">{say("{count} parameters", { count: rough(run.parameterCount) })}</Word>
          </p>
        )}
      </div>
      {run === null ? (
        <p className={controls["empty"]}>
          {say("The tower appears when the network has given out a run, a few seconds after the start.")}
        </p>
      ) : (
        <>
          <TowerList run={run} isResting={isResting} />
          {run.phase !== "training" && !isResting && isOpen && (
            <p className={styles["detail"]}>
              <RunDetail text={run.detail} />
            </p>
          )}
          <p className={styles["more"]}>
            <a href="#model">{say("What is trained, and for whom")}</a>
            <a href="#glossary">{say("What a slice is, and other words")}</a>
          </p>
        </>
      )}
    </section>
  );
}
