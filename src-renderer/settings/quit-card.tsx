import { say } from "../../src-protocol/say.ts";
import { Dialog } from "@base-ui/react/dialog";
import { useState } from "react";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import styles from "./settings.module.css";

/** Ends all of it; asked once. */
export function QuitCard({ version }: { version: string }) {
  const [open, setOpen] = useState(false);
  const { busy, failure, run } = useAction();
  const quit = async () => {
    if (await run("quit", () => getBridge().call("daemon.quit", {}))) setOpen(false);
  };
  return (
    <section className={controls["card"]} aria-labelledby="quit-title">
      <div className={controls["cardHead"]}>
        <h2 id="quit-title" className={controls["cardTitle"]}>
          {say("Train at Home {version}", { version })}
        </h2>
        <button type="button" className={controls["button"]} onClick={() => setOpen(true)}>
          {say("End it …")}
        </button>
      </div>
      <p className={controls["hint"]}>
        {say(
          "An independent project under the Apache 2.0 licence, not affiliated with Bittensor or Macrocosmos.",
        )}
      </p>
      <Dialog.Root open={open} onOpenChange={setOpen}>
        <Dialog.Portal>
          <Dialog.Backdrop className={controls["backdrop"]} />
          <Dialog.Popup className={controls["dialog"]}>
            <Dialog.Title>{say("End Train at Home?")}</Dialog.Title>
            <Dialog.Description className={styles["text"]}>
              {say(
                "Training stops on this computer, and nothing is lost: what was finished is kept, and starting again goes on from it. For a while only, a pause is the better choice.",
              )}
            </Dialog.Description>
            {failure !== null && <FailureNotice failure={failure} />}
            <div className={controls["actions"]}>
              <Dialog.Close className={controls["button"]}>{say("Keep it")}</Dialog.Close>
              <button
                type="button"
                className={`${controls["button"]} ${controls["primary"]}`}
                aria-disabled={busy !== null}
                onClick={() => void quit()}
              >
                {busy === null ? say("End it") : say("Ending …")}
              </button>
            </div>
          </Dialog.Popup>
        </Dialog.Portal>
      </Dialog.Root>
    </section>
  );
}
