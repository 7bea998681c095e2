import { say, phrase } from "../../src-protocol/say.ts";
import type { LimitRow } from "../../src-protocol/limits-report.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useRows } from "../parts/rows-of.ts";
import controls from "../parts/controls.module.css";
import { useNow } from "../parts/clock-now.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { ScreenLink } from "../parts/screen-link.tsx";
import { TableBox } from "../parts/table-box.tsx";
import { Trans } from "@lingui/react";

const ASK_EVERY_MS = 10_000;

const NAMES = {
  cores: phrase("Processor"),
  priority: phrase("Priority"),
  memory: phrase("Memory"),
  disk: phrase("Disk"),
  upload: phrase("Upload"),
  download: phrase("Download"),
  "monthly-data": phrase("Data in a month"),
  "graphics-card": phrase("Graphics card"),
  power: phrase("Power"),
} as const satisfies Record<LimitRow["what"], unknown>;

/** What was asked of it, and what this computer holds it to. */
export function LimitsCard() {
  const connection = useDashboard(({ connection }) => connection);
  const rules = useDashboard(({ state }) => state?.rules);
  const phase = useDashboard(({ state }) => state?.node.phase);
  const now = useNow(30_000);
  const ask = async () => (await getBridge().call("policy.limits", {})).limits;
  const { rows, failure } = useRows(
    ask,
    `${connection} ${phase} ${now} ${JSON.stringify(rules)}`,
    ASK_EVERY_MS,
  );
  return (
    <section className={controls["card"]} aria-labelledby="limits-title">
      <div className={controls["cardHead"]}>
        <h2 id="limits-title" className={controls["cardTitle"]}>
          {say("Limits")}
        </h2>
        <p className={controls["hint"]}>
          <Trans id="asked under <0>Schedule</0>" components={{ 0: <ScreenLink to="schedule" /> }} />
        </p>
      </div>
      {failure !== null && <FailureNotice failure={failure} />}
      <TableBox name={say("What is asked, and what holds here")}>
        <thead>
          <tr>
            <th scope="col">{say("Limit")}</th>
            <th scope="col">{say("Asked of it")}</th>
            <th scope="col">{say("Holds here")}</th>
            <th scope="col">{say("In use")}</th>
          </tr>
        </thead>
        <tbody>
          {(rows ?? []).map(({ what, asked, enforced, by, used }) => (
            <tr key={what}>
              <th scope="row">{say(NAMES[what])}</th>
              <td lang="en">{asked}</td>
              <td lang="en">{enforced === null ? by : `${enforced} (${by})`}</td>
              <td lang="en">{used ?? "—"}</td>
            </tr>
          ))}
        </tbody>
      </TableBox>
    </section>
  );
}
