import { NumberField } from "../parts/number-field.tsx";
import { say } from "../../src-protocol/say.ts";
import { Switch } from "@base-ui/react/switch";
import { type ReactNode, useId } from "react";
import type { Rules } from "../../src-protocol/policy.ts";
import controls from "../parts/controls.module.css";
import styles from "./conditions.module.css";

/** What must be so besides the hours. */
export function Conditions({ rules, onChange }: { rules: Rules; onChange: (rules: Rules) => void }) {
  return (
    <section className={controls["card"]} aria-labelledby="conditions-title">
      <div className={controls["cardHead"]}>
        <h2 id="conditions-title" className={controls["cardTitle"]}>
          {say("Only if")}
        </h2>
      </div>
      <div className={styles["list"]}>
        <Condition
          title={say("It is on power")}
          about={say("On battery it waits, and goes on when it is plugged in.")}
          on={rules.onlyOnPower}
          onChange={(onlyOnPower) => onChange({ ...rules, onlyOnPower })}
        />
        <Condition
          title={say("Nobody uses the computer")}
          about={say("When it cannot tell, it counts as in use.")}
          on={rules.onlyWhenIdle}
          onChange={(onlyWhenIdle) => onChange({ ...rules, onlyWhenIdle })}
        >
          <div className={styles["idle"]}>
            <NumberField
              label={say("after")}
              unit={say("minutes without mouse or keyboard")}
              min={1}
              max={240}
              value={rules.idleMinutes}
              disabled={!rules.onlyWhenIdle}
              onChange={(idleMinutes) => onChange({ ...rules, idleMinutes })}
            />
          </div>
        </Condition>
      </div>
    </section>
  );
}

/** A switch with its words, and what belongs to it. */
export function Condition({
  title,
  about,
  on,
  onChange,
  children,
}: {
  title: string;
  about: ReactNode;
  on: boolean;
  onChange: (on: boolean) => void;
  children?: ReactNode;
}) {
  const id = useId();
  return (
    <div className={styles["condition"]}>
      <Switch.Root
        className={controls["switch"]}
        checked={on}
        onCheckedChange={onChange}
        aria-labelledby={`${id}-title`}
        aria-describedby={`${id}-about`}
      >
        <Switch.Thumb className={controls["thumb"]} />
      </Switch.Root>
      <div>
        <p id={`${id}-title`}>{title}</p>
        <p id={`${id}-about`} className={controls["hint"]}>
          {about}
        </p>
        {children}
      </div>
    </div>
  );
}
