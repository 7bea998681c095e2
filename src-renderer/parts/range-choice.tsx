import { say } from "../../src-protocol/say.ts";
import controls from "./controls.module.css";
import styles from "./range-choice.module.css";

/** A few words side by side, one of them chosen. */
export function RangeChoice<Range extends string>({
  name,
  legend = say("Which time"),
  names,
  value,
  onChange,
}: {
  /** Of the group, once on a page. */
  name: string;
  /** What is chosen, for who does not see it. */
  legend?: string;
  /** Phrases, in order. */
  names: Readonly<Record<Range, string>>;
  value: Range;
  onChange: (value: Range) => void;
}) {
  return (
    <fieldset className={styles["ranges"]}>
      <legend className={controls["hidden"]}>{legend}</legend>
      {(Object.entries(names) as [Range, string][]).map(([range, text]) => (
        <label key={range}>
          <input type="radio" name={name} checked={range === value} onChange={() => onChange(range)} />
          <span>{say(text)}</span>
        </label>
      ))}
    </fieldset>
  );
}
