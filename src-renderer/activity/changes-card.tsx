import { phrase, say } from "../../src-protocol/say.ts";
import { explain } from "../../src-protocol/reason-text.ts";
import type { StateChange } from "../../src-protocol/history.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useRows } from "../parts/rows-of.ts";
import { type ActivityFilter, isShown } from "./activity-filter.ts";
import { dayText } from "./by-day.ts";
import { NothingShown } from "./filter-bar.tsx";
import styles from "./activity.module.css";
import { clock } from "../parts/format.ts";

const ASK_EVERY_MS = 5_000;
const SHOWN = 30;
/** Among so many are those of a filter. */
const ASKED = 500;

/** When it began to work or to wait, why, and by whom: also before it was started last. */
export function ChangesCard({
  now,
  filter,
  onAll,
}: {
  now: number;
  filter: ActivityFilter;
  onAll: () => void;
}) {
  const connection = useDashboard(({ connection }) => connection);
  const decision = useDashboard(({ state }) => state?.decision);
  const ask = async () => (await getBridge().call("history.changes", { limit: ASKED })).changes;
  const { rows, failure } = useRows(
    ask,
    `${connection} ${decision?.action} ${decision?.reasons.join()}`,
    ASK_EVERY_MS,
  );
  const shown = saidOnce(rows ?? [])
    .filter(({ kind, text }) => isShown(filter, kind, text))
    .slice(0, SHOWN);
  const days = Map.groupBy(shown, ({ at }) => dayText(at, now));
  return (
    <section className={controls["card"]} aria-labelledby="changes-title">
      <div className={controls["cardHead"]}>
        <h2 id="changes-title" className={controls["cardTitle"]}>
          {say("Why it worked and waited")}
        </h2>
        <p className={controls["hint"]}>{say("kept on this computer, sent to nobody")}</p>
      </div>
      {failure !== null && <FailureNotice failure={failure} />}
      {rows?.length === 0 && <p className={controls["empty"]}>{say("Nothing is written down yet.")}</p>}
      {rows !== null && rows.length > 0 && shown.length === 0 && (
        <NothingShown filter={filter} onAll={onAll} />
      )}
      {[...days].map(([day, changes]) => (
        <section key={day} aria-label={day} className={styles["day"]}>
          <h3>{day}</h3>
          <ul>
            {changes.map((change) => (
              <li key={change.at}>
                <time dateTime={new Date(change.at).toISOString()}>{clock(change.at)}</time>
                <span>{change.text}</span>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </section>
  );
}

/** What is said again while it only loads or begins is said once, where it began; newest first. */
function saidOnce(changes: readonly StateChange[]): { at: number; kind: "work" | "hand"; text: string }[] {
  const said = changes.map((change) => ({
    at: change.at,
    kind: change.who === null ? ("work" as const) : ("hand" as const),
    text: textOf(change),
  }));
  return said.filter(({ text }, index) => text !== said[index + 1]?.text);
}

function textOf({ at, from, to, reasons, who }: StateChange): string {
  if (to === "off") return say("Train at Home was ended.");
  const why = explain({ action: to, reasons, nextChange: null }, at);
  const said = from === null || from === "off" ? `${say("Train at Home was started.")} ${why}` : why;
  return who === null ? said : say("{what} ({who})", { what: said, who: whoText(who) });
}

const WHERE: Readonly<Record<string, string>> = {
  dashboard: phrase("on this page"),
  cli: phrase("in a terminal"),
  tray: phrase("from the tray"),
};

/** As the history has it: where its owner has said so, or `agent` with its name. */
function whoText(who: string): string {
  const where = WHERE[who];
  return where === undefined
    ? say("by the agent {name}", { name: who.replace(/^agent ?/, "") }).trim()
    : say(where);
}
