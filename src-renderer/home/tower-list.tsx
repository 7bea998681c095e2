import { say } from "../../src-protocol/say.ts";
import type { RunState } from "../../src-protocol/state.ts";
import { rough } from "../parts/format.ts";
import styles from "./tower.module.css";
import { towerRows } from "./tower-rows.ts";

/** The slices, the last one on top. */
export function TowerList({
  run,
  isResting,
  withSizes = false,
}: {
  run: RunState;
  isResting: boolean;
  withSizes?: boolean;
}) {
  return (
    <ol className={styles["tower"]} reversed>
      {towerRows(run, isResting).map((row) => (
        <li key={row.index} data-kind={row.kind}>
          <span className={styles["name"]}>{row.name}</span>
          {withSizes && (
            <span className={styles["size"]}>
              {say("{count} parameters", {
                count: rough(run.stages[row.index]?.parameterCount ?? 0),
              })}
            </span>
          )}
          <span className={styles["holder"]}>{row.holder}</span>
        </li>
      ))}
    </ol>
  );
}
