import { phrase, say } from "../../src-protocol/say.ts";
import { setTheme, type Theme, THEMES, useTheme } from "./theme.ts";
import styles from "./theme-switch.module.css";

const WORDS: Record<Theme, string> = { system: phrase("Auto"), light: phrase("Light"), dark: phrase("Dark") };

export function ThemeSwitch() {
  const theme = useTheme();
  return (
    <fieldset className={styles["switch"]}>
      <legend>{say("Theme")}</legend>
      {THEMES.map((name) => (
        <label key={name}>
          <input
            type="radio"
            name="theme"
            value={name}
            checked={theme === name}
            onChange={() => setTheme(name)}
          />
          <span>{say(WORDS[name])}</span>
        </label>
      ))}
    </fieldset>
  );
}
