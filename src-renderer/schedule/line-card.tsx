import { say } from "../../src-protocol/say.ts";
import { useId } from "react";
import { LEAST_MBIT, type LineLimits, mbitText, MOST_MBIT } from "../../src-protocol/line-limits.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import styles from "./line-card.module.css";

/** How much of the computer's line it may use, beside what it does use. */
export function LineCard({
  limits,
  onChange,
}: {
  limits: LineLimits;
  onChange: (limits: LineLimits) => void;
}) {
  const traffic = useDashboard(({ state }) => state?.traffic ?? null);
  const aboutId = useId();
  return (
    <section className={controls["card"]} aria-labelledby={`${aboutId}-title`}>
      <div className={controls["cardHead"]}>
        <h2 id={`${aboutId}-title`} className={controls["cardTitle"]}>
          {say("At most so much of your line")}
        </h2>
      </div>
      <div className={styles["fields"]}>
        <Limit
          name={say("Upload")}
          about={aboutId}
          limit={limits.uploadMbit}
          usedMbit={traffic?.uploadMbit ?? 0}
          onChange={(uploadMbit) => onChange({ ...limits, uploadMbit })}
        />
        <Limit
          name={say("Download")}
          about={aboutId}
          limit={limits.downloadMbit}
          usedMbit={traffic?.downloadMbit ?? 0}
          onChange={(downloadMbit) => onChange({ ...limits, downloadMbit })}
        />
      </div>
      <p id={aboutId} className={`${controls["hint"]} ${styles["about"]}`}>
        {say("An empty field is no limit. With less than the model needs it trains more slowly.")}
      </p>
    </section>
  );
}

function Limit({
  name,
  about,
  limit,
  usedMbit,
  onChange,
}: {
  name: string;
  about: string;
  limit: number | null;
  usedMbit: number;
  onChange: (limit: number | null) => void;
}) {
  const id = useId();
  return (
    <div className={styles["limit"]}>
      <label htmlFor={id}>{name}</label>
      <input
        id={id}
        className={controls["field"]}
        type="number"
        min={LEAST_MBIT}
        max={MOST_MBIT}
        step="any"
        placeholder={say("no limit")}
        aria-describedby={about}
        value={limit ?? ""}
        onChange={({ target }) => onChange(target.value === "" ? null : Number(target.value))}
      />
      <span>{say("Mbit/s")}</span>
      <span className={styles["used"]}>{say("now {usedMbit}", { usedMbit: mbitText(usedMbit) })}</span>
    </div>
  );
}
