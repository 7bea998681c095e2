import { phrase, say } from "../../src-protocol/say.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { CheckIcon, WaitIcon } from "../parts/icons.tsx";
import { nextText } from "../../src-protocol/why.ts";
import { whyRows } from "./why-rows.ts";
import styles from "./why.module.css";

const MEANS = {
  check: phrase("lets it run"),
  wait: phrase("keeps it waiting"),
  over: phrase("overruled"),
} as const;

/** Every reason that applies, and what comes next. */
export function Why() {
  const decision = useDashboard(({ state }) => state?.decision ?? null);
  const override = useDashboard(({ state }) => state?.override ?? null);
  const now = useNow(15_000);
  if (decision === null) return null;
  return (
    <section className={controls["card"]} aria-labelledby="why-title">
      <div className={controls["cardHead"]}>
        <h2 id="why-title" className={controls["cardTitle"]}>
          {say("Why")}
        </h2>
      </div>
      <ul className={styles["reasons"]}>
        {whyRows(decision).map(({ code, mark, text }) => (
          <li key={code} data-mark={mark}>
            {mark === "check" ? <CheckIcon /> : <WaitIcon />}
            <span>
              {text}
              {/* Beside what runs, an hourglass alone would say that it waits. */}
              <span className={controls[mark === "over" ? "hint" : "hidden"]}> ({say(MEANS[mark])})</span>
            </span>
          </li>
        ))}
      </ul>
      <p className={styles["next"]}>
        <span>{say("Next")}</span> {nextText({ decision, override }, now)}
      </p>
    </section>
  );
}
