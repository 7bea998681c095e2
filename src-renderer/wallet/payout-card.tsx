import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useRef, useState } from "react";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import { Word } from "../parts/word.tsx";
import type { WalletList } from "./wallet.tsx";
import styles from "./wallet.module.css";

/** The address that is paid: its secret need not be on this computer. */
export function PayoutCard({ list, onChanged }: { list: WalletList; onChanged: () => void }) {
  const { payoutColdkey } = list;
  return (
    <section className={controls["card"]} aria-labelledby="payout-title">
      <h2 id="payout-title" className={controls["cardTitle"]}>
        <Word is="payoutAddress">{say("Paid to")}</Word>
      </h2>
      <p className={styles["text"]}>
        {payoutColdkey === null
          ? say(
              "The key itself, until you name an address. One whose secret is not on this computer is the safest place for what it earns: a coldkey, of a paper or another device.",
            )
          : say(
              "What is claimed from now on goes here. Its secret need not be on this computer, and what is claimed already is not moved.",
            )}
      </p>
      {payoutColdkey !== null && (
        <p className={styles["address"]} data-testid="payout">
          <CopyText text={payoutColdkey} what={say("payout address")} />
        </p>
      )}
      <PayoutForm known={payoutColdkey} onChanged={onChanged} />
    </section>
  );
}

/** Names the address that is paid; where one is named already, a second press replaces it. */
export function PayoutForm({ known, onChanged }: { known: string | null; onChanged: () => void }) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [address, setAddress] = useState("");
  const { busy, failure, run } = useAction();
  const isEmpty = address.trim() === "";
  const name = async (event: FormEvent) => {
    event.preventDefault();
    if (isEmpty) return input.current?.focus();
    const replace = known !== null;
    if (!(await run("payout", () => getBridge().call("wallet.payout", { address: address.trim(), replace }))))
      return;
    setAddress("");
    onChanged();
  };
  return (
    <form onSubmit={(event) => void name(event)} noValidate className={styles["form"]}>
      <label htmlFor={id} className={controls["hint"]}>
        {known === null ? say("Address of a coldkey: it begins with 5") : say("Another address")}
      </label>
      <div className={styles["line"]}>
        <input
          id={id}
          ref={input}
          className={controls["field"]}
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          maxLength={100}
          value={address}
          onChange={(event) => setAddress(event.target.value)}
        />
        <button
          type="submit"
          className={`${controls["button"]} ${isEmpty ? "" : controls["primary"]}`}
          aria-disabled={isEmpty || busy !== null}
        >
          {busy !== null ? say("Changing …") : known === null ? say("Pay there") : say("Pay there instead")}
        </button>
      </div>
      {failure !== null && <FailureNotice failure={failure} />}
    </form>
  );
}
