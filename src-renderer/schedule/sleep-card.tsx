import { say } from "../../src-protocol/say.ts";
import controls from "../parts/controls.module.css";
import styles from "./sleep-card.module.css";
import { TimeField } from "./time-field.tsx";

/** "I sleep from … to …": the one thing to know of somebody's nights. */
export function SleepCard({
  from,
  to,
  hasOwnHours = true,
  onChange,
}: {
  from: string;
  to: string;
  /** Whether hours can be painted here too. */
  hasOwnHours?: boolean;
  onChange: (night: { from: string; to: string }) => void;
}) {
  return (
    <section className={controls["card"]} aria-labelledby="sleep-title">
      <h2 id="sleep-title" className={controls["hidden"]}>
        {say("Your nights")}
      </h2>
      <div className={styles["line"]}>
        <span>{say("I sleep from")}</span>
        <TimeField as="from" value={from} onChange={(value) => onChange({ from: value, to })} />
        <span>{say("to")}</span>
        <TimeField as="to" value={to} onChange={(value) => onChange({ from, to: value })} />
      </div>
      <p className={controls["hint"]}>
        {hasOwnHours
          ? say("Other hours at the weekend? Choose “My own hours”: your nights are painted there already.")
          : say("Other hours at the weekend can be painted later, on the Schedule screen.")}
      </p>
    </section>
  );
}
