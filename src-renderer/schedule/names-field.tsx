import { useId, useState } from "react";
import controls from "../parts/controls.module.css";
import styles from "./conditions.module.css";

/** Names with a comma between; what is typed counts when the field is left. */
export function NamesField({
  label,
  about,
  names,
  onChange,
}: {
  label: string;
  about: string;
  names: readonly string[];
  onChange: (names: string[]) => void;
}) {
  const id = useId();
  const [typed, setTyped] = useState<string | null>(null);
  const take = () => {
    if (typed === null) return;
    setTyped(null);
    const next = namesIn(typed);
    if (next.join("\n") !== names.join("\n")) onChange(next);
  };
  return (
    <div className={styles["names"]}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className={controls["field"]}
        type="text"
        autoComplete="off"
        spellCheck={false}
        aria-describedby={`${id}-about`}
        value={typed ?? names.join(", ")}
        onChange={({ target }) => setTyped(target.value)}
        onBlur={take}
        onKeyDown={(event) => event.key === "Enter" && take()}
      />
      <p id={`${id}-about`} className={controls["hint"]}>
        {about}
      </p>
    </div>
  );
}

export function namesIn(text: string): string[] {
  return [...new Set(text.split(",").map((name) => name.trim()))].filter((name) => name !== "");
}
