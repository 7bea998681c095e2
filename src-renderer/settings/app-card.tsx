import { say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import { Failure } from "../../src-protocol/failure.ts";
import {
  SHELL_METHODS,
  type ShellChange,
  type ShellSettings,
  shellSettings,
} from "../../src-protocol/shell-settings.ts";
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
    void run("read", async () => setSettings(await askShell(SHELL_METHODS.get, {})));
    // Once, when the screen is shown.
    // oxlint-disable-next-line react/exhaustive-deps
  }, []);
  const change = (wanted: ShellChange) =>
    void run("change", async () => setSettings(await askShell(SHELL_METHODS.change, wanted)));
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

export function AppSwitches({
  settings: { startAtLogin, notifications },
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
    </div>
  );
}

/** @throws Failure of the shell */
async function askShell(method: string, params: ShellChange): Promise<ShellSettings> {
  const shell = window.trainAtHome;
  if (shell === undefined) throw new Failure("no-shell", say("There is no app around this page."));
  const answer = await shell.call(method, params);
  if ("error" in answer) throw new Failure(answer.error.code, answer.error.message);
  return shellSettings.parse(answer.result);
}
