import controls from "./controls.module.css";
import styles from "./number-field.module.css";

/** A number between its words: "stop at [100] °C". */
export function NumberField({
  label = "",
  unit,
  value,
  onChange,
  ...limits
}: {
  label?: string;
  unit: string;
  value: number;
  onChange: (value: number) => void;
  min?: number;
  max?: number;
  step?: number;
  disabled?: boolean;
}) {
  return (
    <label className={styles["label"]}>
      {label}
      <input
        {...limits}
        className={controls["field"]}
        type="number"
        value={value}
        onChange={({ target }) => onChange(Number(target.value))}
      />
      {unit}
    </label>
  );
}
