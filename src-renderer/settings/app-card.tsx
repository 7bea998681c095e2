import { phrase, say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import type { ShellChange, ShellSettings } from "../../src-protocol/shell-settings.ts";
import { askShell } from "../bridge/ask-shell.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import { Condition } from "../schedule/conditions.tsx";
import styles from "./settings.module.css";

/** What the desktop app itself keeps. In a browser there is none of it. */
export function AppCard() {
  const [settings, setSettings] = useState<ShellSettings | null>(null);
  const { failure, run } = useAction();
  useEffect(() => {
    void run("read", async () => setSettings(await askShell(null)));
    // Once, when the screen is shown.
    // oxlint-disable-next-line react/exhaustive-deps
  }, []);
  const change = (wanted: ShellChange) => void run("change", async () => setSettings(await askShell(wanted)));
  if (settings === null && failure === null) return null;
  return (
    <section className={controls["card"]} aria-labelledby="app-title">
      <h2 id="app-title" className={controls["cardTitle"]}>
        {say("This app")}
      </h2>
      {settings !== null && <AppSwitches settings={settings} onChange={change} />}
      {failure !== null && <FailureNotice failure={failure} />}
    </section>
  );
}

const AT_QUIT = {
  ask: phrase("ask whether work goes on"),
  stop: phrase("work stops too"),
  "go-on": phrase("work goes on"),
} as const satisfies Record<ShellSettings["atQuit"], string>;

export function AppSwitches({
  settings: { startAtLogin, notifications, atQuit },
  onChange,
}: {
  settings: ShellSettings;
  onChange: (change: ShellChange) => void;
}) {
  return (
    <div className={styles["switches"]}>
      {startAtLogin !== null && (
        <Condition
          title={say("Start when I sign in")}
          about={say("Without a window. Without it, nothing runs after a restart until you open the app.")}
          on={startAtLogin}
          onChange={(on) => onChange({ startAtLogin: on })}
        />
      )}
      <Condition
        title={say("Tell me")}
        about={say(
          "What a night has brought, what needs you, and an update that waits; from 8 in the morning to 10 in the evening.",
        )}
        on={notifications}
        onChange={(on) => onChange({ notifications: on })}
      />
      <label className={styles["choice"]}>
        <span>{say("When I quit the app")}</span>
        <select
          className={controls["field"]}
          value={atQuit}
          onChange={({ target }) => onChange({ atQuit: target.value as ShellSettings["atQuit"] })}
        >
          {Object.entries(AT_QUIT).map(([answer, name]) => (
            <option key={answer} value={answer}>
              {say(name)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
