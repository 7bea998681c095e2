import { say } from "../../src-protocol/say.ts";
import { useId, useState } from "react";
import { clockFrom } from "./clock-text.ts";
import controls from "../parts/controls.module.css";
import styles from "./time-field.module.css";

export interface TimeFieldProps {
  as: "from" | "to";
  /** `HH:MM`. */
  value: string;
  onChange: (value: string) => void;
}

/**
 * A time of day on a 24-hour clock, like everywhere else here. The browser's own time field shows
 * its own language's clock and has no 24:00.
 */
export function TimeField({ as, value, onChange }: TimeFieldProps) {
  /** What is in the field while it is being changed. */
  const [typed, setTyped] = useState<string | null>(null);
  const text = typed ?? value;
  const problemId = useId();
  const bad = clockFrom(text, as) === null;

  const take = () => {
    const clock = clockFrom(text, as);
    if (clock === null) return;
    setTyped(null);
    if (clock !== value) onChange(clock);
  };

  return (
    <span className={styles["box"]}>
      <input
        className={`${controls["field"]} ${styles["field"]}`}
        type="text"
        inputMode="numeric"
        autoComplete="off"
        aria-label={as === "from" ? say("From") : say("To")}
        aria-invalid={bad}
        aria-describedby={bad ? problemId : undefined}
        value={text}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={take}
        onKeyDown={(event) => {
          if (event.key === "Enter") take();
        }}
      />
      {bad && (
        <span id={problemId} role="alert" className={styles["problem"]}>
          {say("A time like 23:00")}
        </span>
      )}
    </span>
  );
}
