import { useId } from "react";
import controls from "./controls.module.css";
import styles from "./text-field.module.css";

/** A line to type into, under its name. */
export function TextField({
  label,
  type = "text",
  autoComplete = "off",
  maxLength,
  value,
  onChange,
}: {
  label: string;
  type?: "text" | "password";
  autoComplete?: "off" | "new-password";
  maxLength: number;
  value: string;
  onChange: (value: string) => void;
}) {
  const id = useId();
  return (
    <p className={styles["box"]}>
      <label htmlFor={id} className={controls["hint"]}>
        {label}
      </label>
      <input
        id={id}
        type={type}
        className={controls["field"]}
        spellCheck={false}
        autoComplete={autoComplete}
        autoCapitalize="off"
        maxLength={maxLength}
        value={value}
        onChange={({ target }) => onChange(target.value)}
      />
    </p>
  );
}
