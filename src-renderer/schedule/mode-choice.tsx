import type { ScheduleMode } from "./schedule-mode.ts";
import styles from "./mode-choice.module.css";

const CHOICES: readonly { mode: ScheduleMode; title: string; about: string }[] = [
  { mode: "any", title: "Any time", about: "It works whenever the computer is on." },
  { mode: "asleep", title: "Only when I'm asleep", about: "At night, on power, in the hours you say." },
  { mode: "own", title: "My own hours", about: "You paint the week." },
];

export function ModeChoice({
  mode,
  onChoose,
}: {
  mode: ScheduleMode;
  onChoose: (mode: ScheduleMode) => void;
}) {
  return (
    <fieldset className={styles["choices"]}>
      <legend>When may it run?</legend>
      {CHOICES.map(({ mode: value, title, about }) => (
        <label key={value}>
          <input
            type="radio"
            name="mode"
            value={value}
            checked={mode === value}
            onChange={() => onChoose(value)}
          />
          <strong>{title}</strong>
          <small>{about}</small>
        </label>
      ))}
    </fieldset>
  );
}
