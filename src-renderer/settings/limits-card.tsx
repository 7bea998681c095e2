import { say, phrase } from "../../src-protocol/say.ts";
import type { LimitRow } from "../../src-protocol/limits-report.ts";
import { executionProvider, PROVIDER_NAMES } from "../../src-protocol/providers.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useRows } from "../parts/rows-of.ts";
import controls from "../parts/controls.module.css";
import { useNow } from "../parts/clock-now.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { ScreenLink } from "../parts/screen-link.tsx";
import { Row, Rows } from "../parts/rows.tsx";
import { SHOWN_LATER } from "../parts/shown-later.ts";
import { Trans } from "@lingui/react";
import { Heard } from "../parts/heard.tsx";

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

function usedText(what: LimitRow["what"], used: string): string {
  const provider = executionProvider.safeParse(used);
  return what === "graphics-card" && provider.success ? say(PROVIDER_NAMES[provider.data]) : used;
}

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
      {rows === null && failure === null && (
        <p className={controls["hint"]}>{connection === "open" ? say("Looking …") : say(SHOWN_LATER)}</p>
      )}
      <Rows>
        {(rows ?? []).map(({ what, asked, enforced, by, used }) => (
          <Row key={what} name={say(NAMES[what])}>
            <p>
              <Heard text={asked} />
            </p>
            <p className={controls["hint"]}>
              {enforced === null ? (
                <Heard text={by} />
              ) : (
                <>
                  <Heard text={enforced} /> (<Heard text={by} />)
                </>
              )}
            </p>
            {used !== null && (
              <p className={controls["hint"]}>
                {say("In use")}: <Heard text={usedText(what, used)} />
              </p>
            )}
          </Row>
        ))}
      </Rows>
    </section>
  );
}
