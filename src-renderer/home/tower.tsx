import type { RunState } from "../../src-protocol/state.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { count, plural, rough } from "../parts/format.ts";
import styles from "./tower.module.css";
import { towerRows } from "./tower-rows.ts";

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
          <ol className={styles["tower"]} reversed>
            {towerRows(run, isResting).map((row) => (
              <li key={row.index} data-kind={row.kind}>
                <span className={styles["name"]}>{row.name}</span>
                <span className={styles["holder"]}>{row.holder}</span>
              </li>
            ))}
          </ol>
          {run.phase !== "training" && !isResting && <p className={styles["detail"]}>{run.detail}</p>}
          <details className={styles["details"]}>
            <summary>Details</summary>
            <p className={styles["flow"]}>
              Text goes in at slice 1, the answer comes out on top; what was wrong travels back down.
            </p>
            <dl>
              <Row name="Run" value={run.name} />
              <Row name="Text" value={run.corpus} />
              <ModelRows run={run} />
              <Row
                name="Parameters"
                value={run.stages.map(({ parameterCount }) => rough(parameterCount)).join(" + ")}
              />
              <Row name="Tokens a step" value={count(run.tokensPerStep)} />
              <Row
                name="Recoveries"
                value={
                  run.recoveries === 0 || run.lastRecoveryMs === null
                    ? count(run.recoveries)
                    : `${count(run.recoveries)}, last took ${(run.lastRecoveryMs / 1000).toFixed(1)} s`
                }
              />
            </dl>
          </details>
        </>
      )}
    </section>
  );
}

function ModelRows({ run: { model, stages } }: { run: RunState }) {
  const pipeline = plural(stages.length, "stage");
  switch (model.kind) {
    case "llama":
      return (
        <>
          <Row name="Pipeline" value={`${pipeline}, ${plural(model.blocks, "block")}`} />
          <Row name="Width" value={`${model.width}, ${plural(model.heads, "head")}`} />
        </>
      );
    case "onnx":
      return (
        <>
          <Row name="Pipeline" value={pipeline} />
          <Row name="Model" value={`an ONNX file, ${count(model.vocabulary)} tokens`} />
        </>
      );
    case "decoder":
      return (
        <>
          <Row name="Pipeline" value={`${pipeline}, ${plural(model.blocks, "block")}`} />
          <Row name="Model" value={`${model.family}, ${count(model.vocabulary)} tokens`} />
        </>
      );
  }
}

function Row({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
