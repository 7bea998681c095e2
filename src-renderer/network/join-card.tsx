import layout from "../parts/layout.module.css";
import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useRef, useState } from "react";
import type { NetworkOffer } from "../../src-protocol/networks.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import styles from "./network.module.css";
import { OfferCard } from "./offer-card.tsx";
import { useAction } from "../parts/use-action.ts";

/** Paste an invitation, see where it leads, then say yes. Nothing is downloaded or computed before that. */
export function JoinCard() {
  const [invitation, setInvitation] = useState("");
  const [offer, setOffer] = useState<NetworkOffer | null>(null);
  const { busy, failure, run } = useAction();
  const field = useId();
  const input = useRef<HTMLTextAreaElement>(null);
  const isEmpty = invitation.trim() === "";

  const look = (event: FormEvent) => {
    event.preventDefault();
    if (isEmpty) return input.current?.focus();
    return void run("look", async () => setOffer(await getBridge().call("network.look", { invitation })));
  };
  const forget = () => {
    setOffer(null);
    setInvitation("");
  };
  const join = async () => {
    if (await run("join", () => getBridge().call("network.join", { invitation, consent: true }))) forget();
  };

  if (offer !== null)
    return (
      <div className={layout["stack"]}>
        <OfferCard offer={offer} busy={busy} onYes={() => void join()} onNo={forget} />
        {failure !== null && <FailureNotice failure={failure} />}
      </div>
    );
  return (
    <section className={controls["card"]} aria-labelledby="join-title">
      <h2 id="join-title" className={controls["cardTitle"]}>
        {say("Join a network")}
      </h2>
      <form className={styles["join"]} onSubmit={look} noValidate>
        <label htmlFor={field} className={controls["hint"]}>
          {say("Invitation: the line that begins with tah1, from the network's operator")}
        </label>
        <textarea
          id={field}
          ref={input}
          className={`${controls["field"]} ${styles["invitation"]}`}
          rows={3}
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          value={invitation}
          onChange={(event) => setInvitation(event.target.value)}
        />
        <div className={styles["actions"]}>
          <button
            type="submit"
            className={`${controls["button"]} ${isEmpty ? "" : controls["primary"]}`}
            aria-disabled={isEmpty || busy !== null}
          >
            {busy === "look" ? say("Looking …") : say("See where it leads")}
          </button>
          <p className={controls["hint"]}>{say("First you see who and what it is. You decide then.")}</p>
        </div>
        {failure !== null && <FailureNotice failure={failure} />}
      </form>
    </section>
  );
}
