import { LANGUAGES } from "../../src-protocol/languages.ts";
import { say } from "../../src-protocol/say.ts";
import { askShell, isInShell } from "../bridge/ask-shell.ts";
import controls from "../parts/controls.module.css";
import type { Action } from "../parts/use-action.ts";
import { chooseLanguage, type LanguageChoice, useLanguageChoice } from "./language.ts";

/** Which language is spoken; each is listed by its own name. */
export function LanguageSelect({ run }: { run: Action["run"] }) {
  const choice = useLanguageChoice();
  const choose = (language: LanguageChoice) =>
    void run("language", async () => {
      await chooseLanguage(language);
      // Tray, menus and notices go with it.
      if (isInShell() && language !== "pseudo") await askShell({ language });
    });
  return (
    <select
      className={controls["field"]}
      aria-label={say("Language")}
      value={choice}
      onChange={({ target }) => choose(target.value as LanguageChoice)}
    >
      <option value="system">{say("As the system")}</option>
      {Object.entries(LANGUAGES).map(([language, name]) => (
        <option key={language} value={language} lang={language}>
          {name}
        </option>
      ))}
    </select>
  );
}
