import { say } from "../../src-protocol/say.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { moment } from "../parts/format.ts";
import styles from "./lately.module.css";
import { Heard } from "../parts/heard.tsx";

const SHOWN = 4;

/** The last few things that happened. */
export function Lately() {
  const activity = useDashboard(({ state }) => state?.activity ?? null);
  const now = useNow(60_000);
  if (activity === null) return null;
  return (
    <section className={controls["card"]} aria-labelledby="lately-title">
      <div className={controls["cardHead"]}>
        <h2 id="lately-title" className={controls["cardTitle"]}>
          {say("Lately")}
        </h2>
        <a className={controls["hint"]} href="#activity">
          {say("All of it")}
        </a>
      </div>
      {activity.length === 0 ? (
        <p className={controls["hint"]}>
          {say("Nothing yet. The first entry comes when work starts or stops.")}
        </p>
      ) : (
        <ul className={styles["entries"]}>
          {activity.slice(0, SHOWN).map(({ at, text }) => (
            <li key={`${at} ${text}`}>
              <time dateTime={new Date(at).toISOString()}>{moment(at, now)}</time>
              <Heard text={text} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
