import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { AppCard } from "./app-card.tsx";
import { ComputesCard } from "./computes-card.tsx";
import { LearnedHours } from "./learned-hours.tsx";
import { QuitCard } from "./quit-card.tsx";
import styles from "./settings.module.css";

/** What computes, where things are kept, who may steer it, and how to end it. */
export function Settings() {
  const state = useDashboard(({ state }) => state);
  if (state === null) return null;
  return (
    <div className={styles["pair"]}>
      <div className={styles["stack"]}>
        <ComputesCard />
        {window.trainAtHome !== undefined && <AppCard />}
        <section className={controls["card"]} aria-labelledby="kept-title">
          <h2 id="kept-title" className={controls["cardTitle"]}>
            What is kept here
          </h2>
          <dl className={styles["rows"]}>
            <div>
              <dt>Folder</dt>
              <dd>
                <code>{state.dataFolder}</code>
              </dd>
            </div>
            <div>
              <dt>In it</dt>
              <dd>
                Your key and rules, snapshots of your slice, receipts and claims, the history of hours, and a
                log.
              </dd>
            </div>
            <div>
              <dt>To free it</dt>
              <dd>
                Save a copy of your key first, under <a href="#wallet">Wallet</a>. Then end Train at Home and
                delete the folder.
              </dd>
            </div>
          </dl>
        </section>
      </div>
      <div className={styles["stack"]}>
        <section className={controls["card"]} aria-labelledby="agents-title">
          <h2 id="agents-title" className={controls["cardTitle"]}>
            Programs and agents
          </h2>
          <p className={styles["text"]}>
            A program may steer Train at Home with a token: to see, to pause and start, to change rules, or to
            claim. Safety rules hold for it too, and every call is written down.
          </p>
          <dl className={styles["rows"]}>
            <Command what="Make a token" command='tah token "my agent" --scopes read,control' />
            <Command what="An agent (MCP)" command="tah mcp" />
            <Command what="See tokens" command="tah tokens" />
            <Command what="Take one back" command="tah token-revoke ID" />
            <Command what="Who did what" command="tah audit" />
          </dl>
          <p className={controls["hint"]}>
            Typed in a terminal, because a page that could make tokens could be made to.
          </p>
        </section>
        <section className={controls["card"]} aria-labelledby="privacy-title">
          <h2 id="privacy-title" className={controls["cardTitle"]}>
            Privacy
          </h2>
          <ul className={styles["facts"]}>
            <li>No statistics about you leave this computer, and there is no account.</li>
            <li>
              Neighbours in a network see your internet address, as in every call; the relay sees ciphertext.
            </li>
            <li>What it trains on comes from the network, or from a folder that you named.</li>
            {state.policy.sandbox !== "" && <li>{state.policy.sandbox}</li>}
          </ul>
          <LearnedHours />
        </section>
        <QuitCard version={state.version} />
      </div>
    </div>
  );
}

function Command({ what, command }: { what: string; command: string }) {
  return (
    <div>
      <dt>{what}</dt>
      <dd>
        <CopyText text={command} what={`command: ${what}`} isWhole />
      </dd>
    </div>
  );
}
