import { phrase, say } from "../../src-protocol/say.ts";
import controls from "../parts/controls.module.css";
import type { ScheduleMode } from "./schedule-mode.ts";
import styles from "./mode-choice.module.css";

const CHOICES: readonly { mode: ScheduleMode; title: string; about: string }[] = [
  { mode: "any", title: phrase("Any time"), about: phrase("It works whenever the computer is on.") },
  {
    mode: "asleep",
    title: phrase("Only when I'm asleep"),
    about: phrase("At night, on power, in the hours you say."),
  },
  { mode: "own", title: phrase("My own hours"), about: phrase("You paint the week.") },
];

export function ModeChoice({
  mode,
  modes = CHOICES.map(({ mode }) => mode),
  isTitled = true,
  onChoose,
}: {
  mode: ScheduleMode;
  /** Those to choose from, in this order. */
  modes?: readonly ScheduleMode[];
  /** Whether the question stands above; else a heading asks it already. */
  isTitled?: boolean;
  onChoose: (mode: ScheduleMode) => void;
}) {
  return (
    <fieldset className={styles["choices"]}>
      <legend className={isTitled ? undefined : controls["hidden"]}>{say("When may it run?")}</legend>
      {chosen(modes).map(({ mode: value, title, about }) => (
        <label key={value}>
          <input
            type="radio"
            name="mode"
            value={value}
            checked={mode === value}
            onChange={() => onChoose(value)}
          />
          <strong>{say(title)}</strong>
          <small>{say(about)}</small>
        </label>
      ))}
    </fieldset>
  );
}

function chosen(modes: readonly ScheduleMode[]): typeof CHOICES {
  return modes.flatMap((wanted) => CHOICES.filter(({ mode }) => mode === wanted));
}
