import { say } from "../../src-protocol/say.ts";
import { useId } from "react";
import type { Rules } from "../../src-protocol/policy.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { Heard } from "../parts/heard.tsx";
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
          about={
            <>
              {say("While it works on mains; the screen may go dark.")}
              {awake !== "" && " "}
              {awake !== "" && <Heard text={awake} />}
            </>
          }
          on={rules.keepAwake}
          onChange={(keepAwake) => onChange({ ...rules, keepAwake })}
        />
        <MostField
          name={say("Processor cores, at most")}
          empty={say("all")}
          hint={say("For everything that computes here. An empty field is all of them.")}
          value={work.cores}
          min={1}
          onChange={(cores) => set({ cores })}
        />
        <MostField
          name={say("Memory, at most, GB")}
          empty={say("what is free")}
          hint={say("A slice that needs more is not taken, and who holds more is ended.")}
          value={inGigabytes(work.memoryMegabytes)}
          min={0.5}
          step={0.5}
          onChange={(gigabytes) => set({ memoryMegabytes: inMegabytes(gigabytes) })}
        />
        <MostField
          name={say("Disk, at most, GB")}
          empty={say("no limit")}
          hint={say("All that it keeps in its folder. It stops before that is full.")}
          value={inGigabytes(rules.diskMegabytes)}
          min={0.1}
          step={0.1}
          onChange={(gigabytes) => onChange({ ...rules, diskMegabytes: inMegabytes(gigabytes) })}
        />
      </div>
    </section>
  );
}

/** A limit that need not be. */
function MostField({
  name,
  empty,
  hint,
  value,
  onChange,
  ...limits
}: {
  name: string;
  empty: string;
  hint: string;
  value: number | null;
  onChange: (value: number | null) => void;
  min: number;
  step?: number;
}) {
  const id = useId();
  return (
    <div className={styles["names"]}>
      <label htmlFor={id}>{name}</label>
      <input
        {...limits}
        id={id}
        className={controls["field"]}
        type="number"
        placeholder={empty}
        value={value ?? ""}
        onChange={({ target }) => onChange(target.value === "" ? null : Number(target.value))}
      />
      <p className={controls["hint"]}>{hint}</p>
    </div>
  );
}

function inGigabytes(megabytes: number | null): number | null {
  return megabytes === null ? null : megabytes / 1000;
}

function inMegabytes(gigabytes: number | null): number | null {
  return gigabytes === null ? null : Math.round(gigabytes * 1000);
}
