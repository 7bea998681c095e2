import { say, spokenLocale } from "../../src-protocol/say.ts";
import { explained } from "../../src-protocol/glossary.ts";
import controls from "../parts/controls.module.css";
import styles from "./glossary.module.css";

/** What do the words mean? */
export function Glossary() {
  return (
    <section className={controls["card"]} aria-label={say("Glossary")}>
      <p className={controls["hint"]}>
        {say("Words that this app uses. On other pages, one that is underlined with dots says the same.")}
      </p>
      <dl className={styles["terms"]}>
        {explained(spokenLocale()).map(({ word, says }) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>{says}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
