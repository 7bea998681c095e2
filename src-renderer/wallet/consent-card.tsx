import { Trans } from "@lingui/react";
import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useState } from "react";
import type { BindAnswer } from "../../src-protocol/payout-consent.ts";
import { signatureIn } from "../../src-protocol/payout-consent.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { shortened } from "../parts/format.ts";
import { useAction } from "../parts/use-action.ts";
import styles from "./wallet.module.css";

/** A network pays to an address only when that has agreed: the text, to be signed elsewhere, and its signature. */
export function ConsentCard({ payoutColdkey, network }: { payoutColdkey: string; network: string }) {
  const id = useId();
  const [text, setText] = useState<string | null>(null);
  const [signed, setSigned] = useState("");
  const [bound, setBound] = useState<BindAnswer | null>(null);
  const { busy, failure, run } = useAction();
  const signature = signatureIn(signed);
  const ask = () =>
    void run("ask", async () => {
      setBound(null);
      setText((await getBridge().call("payout.challenge", { payoutColdkey })).text);
    });
  const bind = (event: FormEvent) => {
    event.preventDefault();
    if (text === null || signature === null) return;
    void run("bind", async () => {
      setBound(await getBridge().call("payout.bind", { text, signature }));
      setText(null);
      setSigned("");
    });
  };
  return (
    <section className={controls["card"]} aria-labelledby="consent-title">
      <div className={controls["cardHead"]}>
        <h2 id="consent-title" className={controls["cardTitle"]}>
          {say("Does {network} pay there?", { network })}
        </h2>
        <button type="button" className={controls["button"]} aria-disabled={busy !== null} onClick={ask}>
          {busy === "ask" ? say("Asking …") : say("Get the text to sign")}
        </button>
      </div>
      <p className={styles["text"]}>
        {say(
          "A network pays to {payoutColdkey} when the address has agreed: its own key signs one text, on any computer, within 24 hours.",
          { payoutColdkey: shortened(payoutColdkey) },
        )}
      </p>
      {text !== null && (
        <form onSubmit={bind} noValidate className={styles["form"]}>
          <p className={styles["line"]}>
            <CopyText text={text} what={say("text to sign")} />
            <span className={controls["hint"]}>
              <Trans
                id="Sign exactly this text: <0>btcli wallet sign</0>, or “sign message” of a browser wallet."
                components={{ 0: <code /> }}
              />
            </span>
          </p>
          <label htmlFor={id} className={controls["hint"]}>
            {say("What the tool has printed")}
          </label>
          <textarea
            id={id}
            rows={3}
            spellCheck={false}
            autoComplete="off"
            className={`${controls["field"]} ${styles["wide"]}`}
            value={signed}
            onChange={(event) => setSigned(event.target.value)}
          />
          <div className={styles["line"]}>
            <button
              type="submit"
              className={`${controls["button"]} ${signature === null ? "" : controls["primary"]}`}
              aria-disabled={signature === null || busy !== null}
            >
              {busy === "bind" ? say("Telling the network …") : say("Have it pay there")}
            </button>
            {signed.trim() !== "" && signature === null && (
              <span className={controls["hint"]}>
                {say("There is no signature in it: 128 digits of hex.")}
              </span>
            )}
          </div>
        </form>
      )}
      <output className={controls["hint"]}>
        {bound !== null &&
          say(
            "The network pays {hotkey} to {payoutColdkey} from now on. What was claimed before goes where it was claimed to.",
            { hotkey: shortened(bound.hotkey), payoutColdkey: shortened(bound.payoutColdkey) },
          )}
      </output>
      {failure !== null && <FailureNotice failure={failure} />}
    </section>
  );
}
