import { say } from "../../src-protocol/say.ts";
import controls from "./controls.module.css";
import styles from "./range-choice.module.css";

/** Which time is shown: a few words side by side, one of them chosen. */
export function RangeChoice<Range extends string>({
  name,
  names,
  value,
  onChange,
}: {
  /** Of the group, once on a page. */
  name: string;
  /** Phrases, in order. */
  names: Readonly<Record<Range, string>>;
  value: Range;
  onChange: (value: Range) => void;
}) {
  return (
    <fieldset className={styles["ranges"]}>
      <legend className={controls["hidden"]}>{say("Which time")}</legend>
      {(Object.entries(names) as [Range, string][]).map(([range, text]) => (
        <label key={range}>
          <input type="radio" name={name} checked={range === value} onChange={() => onChange(range)} />
          <span>{say(text)}</span>
        </label>
      ))}
    </fieldset>
  );
}
