import { say } from "../../src-protocol/say.ts";
import type { WeeklyWindow } from "../../src-protocol/policy.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { useRows } from "../parts/rows-of.ts";
import styles from "./conditions.module.css";
import { Heard } from "../parts/heard.tsx";

/** Hours in which nobody is here, as they were learned on this computer: an offer, never a change. */
export function SleepOffer({ onTake }: { onTake: (windows: WeeklyWindow[]) => void }) {
  const connection = useDashboard(({ connection }) => connection);
  const saved = useDashboard(({ state }) => state?.rules.windows);
  const ask = async () => [await getBridge().call("policy.sleep", {})];
  const { rows } = useRows(ask, `${connection} ${JSON.stringify(saved)}`, 0);
  const [offer] = rows ?? [];
  if (offer === undefined) return null;
  const { windows, differs, text } = offer;
  return (
    <section className={controls["card"]} aria-label={say("Hours that were learned")}>
      <p>
        <Heard text={text} />
      </p>
      {windows !== null && differs && (
        <button
          type="button"
          className={`${controls["button"]} ${styles["take"]}`}
          onClick={() => onTake([...windows])}
        >
          {say("Take these hours")}
        </button>
      )}
      <p className={controls["hint"]}>
        {say("Learned on this computer from when it is used, and kept here alone.")}
      </p>
    </section>
  );
}
