import { Trans } from "@lingui/react";
import { ScreenLink } from "../parts/screen-link.tsx";
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

/** What the next seven days bring by the rules that hold, from what was really paid; and what electricity takes of it. */
export function ComingWeek({ rules }: { rules: Rules }) {
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
      <p className={controls["hint"]}>
        {priced ? (
          <Trans
            id="What electricity costs is entered under <0>Earnings</0>."
            components={{ 0: <ScreenLink to="earnings" /> }}
          />
        ) : (
          <Trans
            id="To take off what electricity costs, enter its price under <0>Earnings</0>."
            components={{ 0: <ScreenLink to="earnings" /> }}
          />
        )}
      </p>
    </section>
  );
}
