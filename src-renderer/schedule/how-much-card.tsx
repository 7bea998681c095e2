import { say } from "../../src-protocol/say.ts";
import { useId } from "react";
import type { Rules } from "../../src-protocol/policy.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { Condition } from "./conditions.tsx";
import styles from "./conditions.module.css";

/** How much of the computer it may take, and whether it keeps it awake. */
export function HowMuchCard({ rules, onChange }: { rules: Rules; onChange: (rules: Rules) => void }) {
  const id = useId();
  const awake = useDashboard(({ state }) => state?.policy.awake.text ?? "");
  const { work } = rules;
  const set = (change: Partial<Rules["work"]>) => onChange({ ...rules, work: { ...work, ...change } });
  return (
    <section className={controls["card"]} aria-labelledby={`${id}-title`}>
      <div className={controls["cardHead"]}>
        <h2 id={`${id}-title`} className={controls["cardTitle"]}>
          {say("How much of the computer")}
        </h2>
      </div>
      <div className={styles["list"]}>
        <Condition
          title={say("Quiet")}
          about={say("Half of the cores, at the lowest priority: fans stay slow.")}
          on={work.quiet}
          onChange={(quiet) => set({ quiet })}
        />
        <Condition
          title={say("The graphics card too")}
          about={say("Where one is faster than the processor.")}
          on={work.gpu}
          onChange={(gpu) => set({ gpu })}
        />
        <Condition
          title={say("Keep the computer awake")}
          about={`${say("While it works on mains; the screen may go dark.")} ${awake}`.trim()}
          on={rules.keepAwake}
          onChange={(keepAwake) => onChange({ ...rules, keepAwake })}
        />
        <div className={styles["names"]}>
          <label htmlFor={id}>{say("Processor cores, at most")}</label>
          <input
            id={id}
            className={controls["field"]}
            type="number"
            min="1"
            placeholder={say("all")}
            value={work.cores ?? ""}
            onChange={({ target }) => set({ cores: target.value === "" ? null : Number(target.value) })}
          />
          <p className={controls["hint"]}>
            {say("For everything that computes here. An empty field is all of them.")}
          </p>
        </div>
      </div>
    </section>
  );
}
