import { say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import type { RunState } from "../../src-protocol/state.ts";
import { rough } from "../parts/format.ts";
import styles from "./tower.module.css";
import { type TowerRow, towerRows } from "./tower-rows.ts";

/** A connection that is back sooner is no loss: the top line says "Working" all the while. */
const LOST_AFTER_MS = 2_000;

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
  const rows = useSettled(towerRows(run, isResting));
  return (
    <ol className={styles["tower"]} reversed>
      {rows.map((row) => (
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

/** The rows as they were, for as long as a loss may still be a hiccup. */
function useSettled(rows: readonly TowerRow[]): readonly TowerRow[] {
  const isLost = rows.some(({ kind }) => kind === "lost");
  const [shown, setShown] = useState(rows);
  const [isSure, setSure] = useState(isLost);
  useEffect(() => {
    if (!isLost) return setSure(false);
    const timer = setTimeout(() => setSure(true), LOST_AFTER_MS);
    return () => clearTimeout(timer);
  }, [isLost]);
  const text = JSON.stringify(rows);
  useEffect(() => {
    if (!isLost || isSure) setShown(rows);
    // The rows are made anew each time: what they say is what counts.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [text, isLost, isSure]);
  return shown.length === rows.length ? shown : rows;
}
