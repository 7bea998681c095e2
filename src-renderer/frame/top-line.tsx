import { say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import { type FailureBody, failureBody } from "../../src-protocol/failure.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { headline } from "../home/headline.ts";
import { barsOf, sumOf } from "../earnings/earned-bars.ts";
import { useWorkedHours } from "../earnings/worked-hours.ts";
import { amount } from "../parts/format.ts";
import { PauseMenu } from "./pause-menu.tsx";
import styles from "./top-line.module.css";

/** Always there: the state, why, what next, and the one thing to do about it. */
export function TopLine() {
  const state = useDashboard(({ state }) => state);
  const connection = useDashboard(({ connection }) => connection);
  const now = useNow(15_000);
  const [failure, setFailure] = useState<FailureBody | null>(null);
  const said = state === null ? null : headline(state, now);
  const { rows } = useWorkedHours("today");
  const earned =
    state === null ? 0n : sumOf(barsOf(rows ?? [], state.earnings.asset, "today", now)).earnedRao;

  // The tab tells the two things that somebody looks for in passing.
  useEffect(() => {
    const today = earned === 0n ? [] : [say("{amount} today", { amount: amount(earned.toString()) })];
    const word = connection === "lost" ? say("Connection lost") : said?.word;
    document.title = [...(word === undefined ? [] : [word]), ...today, say("Train at Home")].join(" · ");
  }, [said, earned, connection]);

  const act = async (action: () => Promise<unknown>) => {
    setFailure(null);
    try {
      await action();
    } catch (error) {
      setFailure(failureBody(error));
    }
  };

  return (
    <header className={styles["line"]}>
      <div className={styles["inside"]}>
        <output className={styles["state"]} data-tone={connection === "open" ? said?.tone : undefined}>
          {said !== null && connection === "open" && (
            <>
              <span className={styles["mark"]} aria-hidden="true" />
              <span>
                <strong data-testid="state">{said.word}</strong>
                {said.slice !== null && <span className={styles["slice"]}> · {said.slice}</span>}
                <span className={styles["reason"]} data-testid="reason">
                  {said.reason}
                </span>
              </span>
            </>
          )}
          {connection === "lost" && (
            <>
              <span className={styles["mark"]} aria-hidden="true" />
              <strong>{say("No connection")}</strong>
            </>
          )}
        </output>
        {state !== null && connection === "open" && <Actions state={state} act={act} />}
      </div>
      {failure !== null && <FailureNotice failure={failure} />}
    </header>
  );
}

function Actions({
  state,
  act,
}: {
  state: DaemonState;
  act: (action: () => Promise<unknown>) => Promise<void>;
}) {
  const { override, decision } = state;
  const resume = () => act(() => getBridge().call("policy.resume", {}));
  const choose = (method: "policy.pause" | "policy.start") => (minutes: number) =>
    void act(() => getBridge().call(method, { minutes, by: "dashboard" }));

  if (override !== null && override.action !== "run" && decision.action === "pause") {
    return (
      <div className={styles["actions"]} data-two>
        <button
          type="button"
          className={`${controls["button"]} ${controls["primary"]}`}
          title={say("The rules decide again: it may go on, or wait for its hours")}
          onClick={() => void resume()}
        >
          {say("End pause")}
        </button>
        <PauseMenu kind="start" isSecond onChoose={choose("policy.start")} />
      </div>
    );
  }
  if (decision.action === "pause" && override === null) {
    return <PauseMenu kind="start" onChoose={choose("policy.start")} />;
  }
  return (
    <PauseMenu
      kind="pause"
      onChoose={choose("policy.pause")}
      onPause={(when) =>
        void act(() =>
          getBridge().call(when === "now" ? "policy.pause" : "policy.finish", {
            minutes: null,
            by: "dashboard",
          }),
        )
      }
      {...(override === null ? {} : { onBackToSchedule: () => void resume() })}
    />
  );
}
