import { say } from "../../src-protocol/say.ts";
import { type Day, DAYS, type WeeklyWindow } from "../../src-protocol/policy.ts";
import controls from "../parts/controls.module.css";
import { PlusIcon, RemoveIcon } from "../parts/icons.tsx";
import { daysText, shortDayName } from "./next-runs.ts";
import { TimeField } from "./time-field.tsx";
import styles from "./window-list.module.css";

export interface WindowListProps {
  windows: readonly WeeklyWindow[];
  onChange: (windows: WeeklyWindow[]) => void;
}

const NEW_WINDOW: WeeklyWindow = { days: [...DAYS], from: "23:00", to: "07:00" };

/** The same hours as the grid, in words and to the minute. */
export function WindowList({ windows, onChange }: WindowListProps) {
  const replace = (index: number, changed: WeeklyWindow) =>
    onChange(windows.map((window, at) => (at === index ? changed : window)));
  return (
    <div className={styles["box"]}>
      <h3 className={styles["title"]}>{say("In words")}</h3>
      {windows.length === 0 && (
        <p className={controls["hint"]}>{say("No hours yet. Paint some above, or add them here.")}</p>
      )}
      <ul className={styles["list"]}>
        {windows.map((window, index) => (
          // A window has no identity of its own: its place in the list is it.
          // oxlint-disable-next-line react/no-array-index-key
          <li key={index}>
            <WindowRow
              window={window}
              number={index + 1}
              onChange={(changed) => replace(index, changed)}
              onRemove={() => onChange(windows.filter((_, at) => at !== index))}
            />
          </li>
        ))}
      </ul>
      <button type="button" className={controls["button"]} onClick={() => onChange([...windows, NEW_WINDOW])}>
        <PlusIcon />
        {say("Add hours")}
      </button>
    </div>
  );
}

function WindowRow({
  window,
  number,
  onChange,
  onRemove,
}: {
  window: WeeklyWindow;
  number: number;
  onChange: (window: WeeklyWindow) => void;
  onRemove: () => void;
}) {
  const toggle = (day: Day) => {
    const days = DAYS.filter((one) => window.days.includes(one) !== (one === day));
    onChange({ ...window, days });
  };
  return (
    <fieldset className={styles["row"]}>
      <legend className={controls["hidden"]}>
        {say("Hours {number}: {days}, {from} to {to}", {
          number,
          days: window.days.length === 0 ? say("no day") : daysText(window.days),
          from: window.from,
          to: window.to,
        })}
      </legend>
      <div className={styles["days"]}>
        {DAYS.map((day, index) => (
          <button
            key={day}
            type="button"
            aria-pressed={window.days.includes(day)}
            onClick={() => toggle(day)}
          >
            {shortDayName(index)}
          </button>
        ))}
      </div>
      <div className={styles["times"]}>
        <TimeField as="from" value={window.from} onChange={(from) => onChange({ ...window, from })} />
        <span aria-hidden="true">–</span>
        <TimeField as="to" value={window.to} onChange={(to) => onChange({ ...window, to })} />
        <button
          type="button"
          className={`${controls["button"]} ${controls["quiet"]}`}
          aria-label={say("Remove hours {number}", { number })}
          onClick={onRemove}
        >
          <RemoveIcon />
        </button>
      </div>
    </fieldset>
  );
}
