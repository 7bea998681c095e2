import { say } from "../../src-protocol/say.ts";
import { useState } from "react";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import styles from "./settings.module.css";

/** When nobody is here is learned on this computer, and can be forgotten on it. */
export function LearnedHours() {
  const [isForgotten, setForgotten] = useState(false);
  const { busy, failure, run } = useAction();
  const forget = async () =>
    setForgotten(await run("forget", () => getBridge().call("policy.forgetHours", {})));
  return (
    <div className={styles["learned"]}>
      <p>
        {say(
          "To suggest when you sleep, it remembers in which hours of the week nobody was here. That stays on this computer.",
        )}
      </p>
      <button
        type="button"
        className={controls["button"]}
        aria-disabled={busy !== null || isForgotten}
        onClick={() => !isForgotten && void forget()}
      >
        {isForgotten ? say("Forgotten") : say("Forget these hours")}
      </button>
      {failure !== null && <FailureNotice failure={failure} />}
    </div>
  );
}
