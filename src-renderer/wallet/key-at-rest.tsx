import { say } from "../../src-protocol/say.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import type { WalletList } from "./wallet.tsx";

/** How the file of the key is protected, and the change of it where this system has a keychain. */
export function KeyAtRest({ atRest, onChanged }: { atRest: WalletList["atRest"]; onChanged: () => void }) {
  const { busy, failure, run } = useAction();
  const other = atRest.how === "keychain" ? "open" : "keychain";
  const change = async () => {
    if (await run("keep", () => getBridge().call("wallet.keep", { how: other }))) onChanged();
  };
  const canChange = atRest.missing === null && atRest.how !== "password";
  return (
    <>
      <p className={controls["hint"]} data-testid="key-at-rest">
        {protection(atRest.how)}
      </p>
      {canChange && (
        <button
          type="button"
          className={controls["button"]}
          disabled={busy !== null}
          onClick={() => void change()}
        >
          {other === "keychain"
            ? say("Have the system's keychain protect it")
            : say("Take it out of the keychain")}
        </button>
      )}
      {failure !== null && <FailureNotice failure={failure} />}
    </>
  );
}

function protection(how: WalletList["atRest"]["how"]): string {
  switch (how) {
    case "keychain":
      return say(
        "It is locked, and this system's keychain keeps what opens it. Save a copy before you remove the app or the account: without the keychain nobody can open it.",
      );
    case "password":
      return say("It is locked with a password of yours.");
    case "open":
      return say(
        "It lies open: only your account on this computer can read it, and so can every program of yours.",
      );
  }
}
