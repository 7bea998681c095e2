import { say } from "../../src-protocol/say.ts";
import { LanguageSelect } from "../language/language-select.tsx";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";

/** Which language the dashboard speaks, and what stays English. */
export function LanguageCard() {
  const { failure, run } = useAction();
  return (
    <section className={controls["card"]} aria-labelledby="language-title">
      <div className={controls["cardHead"]}>
        <h2 id="language-title" className={controls["cardTitle"]}>
          {say("Language")}
        </h2>
        <LanguageSelect run={run} />
      </div>
      <p className={controls["hint"]}>
        {say("What a terminal, an agent or the log says stays English, and so do rare messages in here.")}
      </p>
      {failure !== null && <FailureNotice failure={failure} />}
    </section>
  );
}
