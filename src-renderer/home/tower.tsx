import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { rough } from "../parts/format.ts";
import styles from "./tower.module.css";
import { TowerList } from "./tower-list.tsx";

/** The whole model as a tower of slices, mine lit. */
export function Tower() {
  const run = useDashboard(({ state }) => state?.run ?? null);
  const isResting = useDashboard(({ state }) => state?.decision.action === "pause");
  return (
    <section className={controls["card"]} aria-labelledby="tower-title">
      <div className={controls["cardHead"]}>
        <h2 id="tower-title" className={controls["cardTitle"]}>
          The model
        </h2>
        {run !== null && <p className={controls["hint"]}>{rough(run.parameterCount)} parameters</p>}
      </div>
      {run === null ? (
        <p className={controls["empty"]}>
          The tower appears when the network has given out a run, a few seconds after the start.
        </p>
      ) : (
        <>
          <TowerList run={run} isResting={isResting} />
          {run.phase !== "training" && !isResting && <p className={styles["detail"]}>{run.detail}</p>}
          <p className={styles["more"]}>
            <a href="#model">What is trained, and for whom</a>
          </p>
        </>
      )}
    </section>
  );
}
