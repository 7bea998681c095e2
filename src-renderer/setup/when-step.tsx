import layout from "../parts/layout.module.css";
import type { Rules } from "../../src-protocol/policy.ts";
import { Conditions } from "../schedule/conditions.tsx";
import { LineCard } from "../schedule/line-card.tsx";
import { ModeChoice } from "../schedule/mode-choice.tsx";
import { previewOf } from "../schedule/next-runs.ts";
import { inMode, modeOf, nightOf, withNight } from "../schedule/schedule-mode.ts";
import { SleepCard } from "../schedule/sleep-card.tsx";
import styles from "./setup.module.css";

/** The hours, what must be so besides, and how much of the line: as on the Schedule, without painting. */
export function WhenStep({
  rules,
  now,
  onChange,
}: {
  rules: Rules;
  now: number;
  onChange: (rules: Rules) => void;
}) {
  const night = rules.schedule === "windows" ? nightOf(rules.windows) : null;
  return (
    <>
      <ModeChoice
        isTitled={false}
        modes={["asleep", "any"]}
        mode={modeOf(rules)}
        onChoose={(mode) => onChange(inMode(rules, mode))}
      />
      {night !== null && (
        <SleepCard
          {...night}
          hasOwnHours={false}
          onChange={(changed) => onChange(withNight(rules, changed))}
        />
      )}
      <p className={styles["preview"]} data-testid="preview">
        {previewOf(rules, now).join(" ")}
      </p>
      <div className={layout["pair"]}>
        <Conditions rules={rules} onChange={onChange} />
        <LineCard limits={rules.limits} onChange={(limits) => onChange({ ...rules, limits })} />
      </div>
    </>
  );
}
