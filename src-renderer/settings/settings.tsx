import layout from "../parts/layout.module.css";
import { Row, Rows } from "../parts/rows.tsx";
import { ScreenLink } from "../parts/screen-link.tsx";
import { Trans } from "@lingui/react";
import { say } from "../../src-protocol/say.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { AppCard } from "./app-card.tsx";
import { CountryChoice } from "./country-choice.tsx";
import { ComputesCard } from "./computes-card.tsx";
import { LanguageCard } from "./language-card.tsx";
import { LimitsCard } from "./limits-card.tsx";
import { LearnedHours } from "./learned-hours.tsx";
import { QuitCard } from "./quit-card.tsx";
import styles from "./settings.module.css";
import { Heard } from "../parts/heard.tsx";

/** What computes, where things are kept, who may steer it, and how to end it. */
export function Settings() {
  const state = useDashboard(({ state }) => state);
  if (state === null) return null;
  return (
    <div className={layout["pair"]}>
      <div className={layout["stack"]}>
        <LanguageCard />
        <ComputesCard />
        <LimitsCard />
        {window.trainAtHome !== undefined && <AppCard />}
        <section className={controls["card"]} aria-labelledby="kept-title">
          <h2 id="kept-title" className={controls["cardTitle"]}>
            {say("What is kept here")}
          </h2>
          <Rows>
            <Row name={say("Folder")}>
              <code>{state.dataFolder}</code>
            </Row>
            <Row name={say("In it")}>
              {say(
                "Your key and rules, snapshots of your slice, receipts and claims, the history of hours, and a log.",
              )}
            </Row>
            <Row name={say("To free it")}>
              <Trans
                id="Save a copy of your key first, under <0>Wallet</0>. Then end Train at Home and delete the folder."
                components={{ 0: <ScreenLink to="wallet" /> }}
              />
            </Row>
          </Rows>
        </section>
      </div>
      <div className={layout["stack"]}>
        <section className={controls["card"]} aria-labelledby="agents-title">
          <h2 id="agents-title" className={controls["cardTitle"]}>
            {say("Programs and agents")}
          </h2>
          <p className={styles["text"]}>
            {say(
              "A program may steer Train at Home with a token: to see, to pause and start, to change rules, or to claim. Safety rules hold for it too, and every call is written down.",
            )}
          </p>
          <Rows>
            <Command what={say("Make a token")} command='tah token "my agent" --scopes read,control' />
            <Command what={say("An agent (MCP)")} command="tah mcp" />
            <Command what={say("See tokens")} command="tah tokens" />
            <Command what={say("Take one back")} command="tah token-revoke ID" />
            <Command what={say("Who did what")} command="tah audit" />
          </Rows>
          <p className={controls["hint"]}>
            {say("Typed in a terminal, because a page that could make tokens could be made to.")}
          </p>
        </section>
        <section className={controls["card"]} aria-labelledby="privacy-title">
          <h2 id="privacy-title" className={controls["cardTitle"]}>
            {say("Privacy")}
          </h2>
          <ul className={styles["facts"]}>
            <li>{say("No statistics about you leave this computer, and there is no account.")}</li>
            <li>
              {say(
                "Neighbours in a network see your internet address, as in every call; the relay sees ciphertext.",
              )}
            </li>
            <li>{say("What it trains on comes from the network, or from a folder that you named.")}</li>
            {state.policy.sandbox !== "" && (
              <li>
                <Heard text={state.policy.sandbox} />
              </li>
            )}
          </ul>
          <LearnedHours />
          <CountryChoice country={state.rules.country} />
        </section>
        <QuitCard version={state.version} />
        <p className={controls["hint"]}>
          <a href="#glossary">{say("All words of this app, explained")}</a>
        </p>
      </div>
    </div>
  );
}

function Command({ what, command }: { what: string; command: string }) {
  return (
    <Row name={what}>
      <CopyText text={command} what={say("command: {what}", { what })} isWhole />
    </Row>
  );
}
