import { NumberField } from "../parts/number-field.tsx";
import { forecastText } from "../../src-protocol/forecast-text.ts";
import { ownTimeZone } from "../../src-protocol/zone.ts";
import { say } from "../../src-protocol/say.ts";
import { useId } from "react";
import type { Rules } from "../../src-protocol/policy.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { useRows } from "../parts/rows-of.ts";
import styles from "./conditions.module.css";

const WEEK_MS = 7 * 86_400_000;
const ASK_EVERY_MS = 60_000;
/** A desktop computer that works beside one that rests, where nothing was measured. */
const ELECTRICITY = { pricePerKwh: 0.3, watts: 60 };

/** What the next seven days bring by the rules that hold, from what was really paid; and what electricity takes of it. */
export function ComingWeek({ rules, onChange }: { rules: Rules; onChange: (rules: Rules) => void }) {
  const id = useId();
  const saved = useDashboard(({ state }) => state?.rules);
  const connection = useDashboard(({ connection }) => connection);
  const paid = useDashboard(({ state }) => state?.earnings.paidRao);
  const ask = async () => [await getBridge().call("policy.forecast", { to: Date.now() + WEEK_MS })];
  const { rows } = useRows(
    ask,
    `${connection} ${paid} ${JSON.stringify(saved)}`,
    saved === rules ? 0 : ASK_EVERY_MS,
  );
  const [forecast] = rows ?? [];
  const zone = useDashboard(({ state }) => state?.policy.zone ?? ownTimeZone());
  const onlyWhenIdle = saved?.onlyWhenIdle === true;
  const priced = saved !== undefined && saved.electricity !== null;
  const { electricity } = rules;
  const set = (change: Partial<NonNullable<Rules["electricity"]>>) =>
    onChange({ ...rules, electricity: { ...(electricity ?? ELECTRICITY), ...change } });
  return (
    <section className={controls["card"]} aria-labelledby={`${id}-title`}>
      <div className={controls["cardHead"]}>
        <h2 id={`${id}-title`} className={controls["cardTitle"]}>
          {say("What the next seven days bring")}
        </h2>
        <p className={controls["hint"]}>{say("by the rules that hold now")}</p>
      </div>
      <p className={styles["forecast"]} data-testid="forecast">
        {forecast === undefined
          ? " "
          : forecastText(forecast, { ifStarted: false, zone, onlyWhenIdle, priced })}
      </p>
      {electricity === null ? (
        <button type="button" className={controls["button"]} onClick={() => set({})}>
          {say("Take off what electricity costs")}
        </button>
      ) : (
        <div className={styles["idle"]}>
          <NumberField
            label={say("Electricity")}
            unit={say("a kWh, in your currency")}
            min={0}
            step={0.01}
            value={electricity.pricePerKwh}
            onChange={(pricePerKwh) => set({ pricePerKwh })}
          />
          {electricity.watts === null ? (
            <span>{say("for what is measured")}</span>
          ) : (
            <NumberField
              unit={say("W more than at rest")}
              min={0}
              value={electricity.watts}
              onChange={(watts) => set({ watts })}
            />
          )}
          <button
            type="button"
            className={`${controls["button"]} ${controls["quiet"]}`}
            onClick={() => set({ watts: electricity.watts === null ? ELECTRICITY.watts : null })}
          >
            {electricity.watts === null ? say("Enter the watts") : say("Use what is measured")}
          </button>
          <button
            type="button"
            className={`${controls["button"]} ${controls["quiet"]}`}
            onClick={() => onChange({ ...rules, electricity: null })}
          >
            {say("Leave it out")}
          </button>
        </div>
      )}
    </section>
  );
}
