import { useId } from "react";
import { say } from "../../src-protocol/say.ts";
import { LANGUAGES } from "../../src-protocol/languages.ts";
import { askShell, isInShell } from "../bridge/ask-shell.ts";
import { chooseLanguage, type LanguageChoice, useLanguageChoice } from "../language/language.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";

/** Which language the dashboard speaks; each is listed by its own name. */
export function LanguageCard() {
  const id = useId();
  const choice = useLanguageChoice();
  const { failure, run } = useAction();
  const choose = (language: LanguageChoice) =>
    void run("choose", async () => {
      await chooseLanguage(language);
      // Tray, menus and notices go with it.
      if (isInShell() && language !== "pseudo") await askShell({ language });
    });
  return (
    <section className={controls["card"]} aria-labelledby={`${id}-title`}>
      <div className={controls["cardHead"]}>
        <h2 id={`${id}-title`} className={controls["cardTitle"]}>
          {say("Language")}
        </h2>
        <select
          className={controls["field"]}
          aria-labelledby={`${id}-title`}
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
      </div>
      <p className={controls["hint"]}>
        {say("What a terminal, an agent or the log says stays English, and so do rare messages in here.")}
      </p>
      {failure !== null && <FailureNotice failure={failure} />}
    </section>
  );
}
