import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useState } from "react";
import { calendarDate, type DateException, type Rules } from "../../src-protocol/policy.ts";
import controls from "../parts/controls.module.css";
import { RemoveIcon } from "../parts/icons.tsx";
import { dateText, exceptionText, withDayOff } from "./days-off.ts";
import styles from "./days-off-card.module.css";

/** Dates on which the week does not hold: "not on 24 December". */
export function DaysOffCard({ rules, onChange }: { rules: Rules; onChange: (rules: Rules) => void }) {
  const id = useId();
  const [date, setDate] = useState("");
  const [problem, setProblem] = useState(false);
  const set = (exceptions: DateException[]) => onChange({ ...rules, exceptions });
  const add = (event: FormEvent) => {
    event.preventDefault();
    const isDate = calendarDate.safeParse(date).success;
    setProblem(!isDate);
    if (!isDate) return;
    set(withDayOff(rules.exceptions, date));
    setDate("");
  };
  return (
    <section className={controls["card"]} aria-labelledby={`${id}-title`}>
      <div className={controls["cardHead"]}>
        <h2 id={`${id}-title`} className={controls["cardTitle"]}>
          {say("Not on these days")}
        </h2>
        <p className={controls["hint"]}>{say("a night belongs to the day it starts on")}</p>
      </div>
      {rules.exceptions.length > 0 && (
        <ul className={styles["list"]}>
          {rules.exceptions.map((exception) => (
            <li key={exception.date}>
              <span>{exceptionText(exception)}</span>
              <button
                type="button"
                className={`${controls["button"]} ${controls["quiet"]}`}
                aria-label={say("Remove {date}", { date: dateText(exception.date) })}
                onClick={() => set(rules.exceptions.filter(({ date: other }) => other !== exception.date))}
              >
                <RemoveIcon />
              </button>
            </li>
          ))}
        </ul>
      )}
      <form className={styles["add"]} onSubmit={add} noValidate>
        <label htmlFor={id}>{say("Day")}</label>
        <input
          id={id}
          className={controls["field"]}
          type="date"
          value={date}
          aria-invalid={problem}
          aria-describedby={problem ? `${id}-problem` : undefined}
          onChange={({ target }) => setDate(target.value)}
        />
        <button type="submit" className={controls["button"]}>
          {say("Add")}
        </button>
        {problem && (
          <span id={`${id}-problem`} role="alert" className={controls["hint"]}>
            {say("Choose a day first.")}
          </span>
        )}
      </form>
    </section>
  );
}
