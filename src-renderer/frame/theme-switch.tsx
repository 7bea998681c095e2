import { setTheme, type Theme, THEMES, useTheme } from "./theme.ts";
import styles from "./theme-switch.module.css";

const WORDS: Record<Theme, string> = { system: "Auto", light: "Light", dark: "Dark" };

export function ThemeSwitch() {
  const theme = useTheme();
  return (
    <fieldset className={styles["switch"]}>
      <legend>Theme</legend>
      {THEMES.map((name) => (
        <label key={name}>
          <input
            type="radio"
            name="theme"
            value={name}
            checked={theme === name}
            onChange={() => setTheme(name)}
          />
          <span>{WORDS[name]}</span>
        </label>
      ))}
    </fieldset>
  );
}
