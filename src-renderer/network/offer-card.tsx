import { Row, Rows } from "../parts/rows.tsx";
import { say } from "../../src-protocol/say.ts";
import { offerRows } from "../../src-protocol/network-text.ts";
import type { NetworkOffer } from "../../src-protocol/networks.ts";
import controls from "../parts/controls.module.css";
import { useFocusOnMount } from "../parts/focus-on-mount.ts";
import styles from "./network.module.css";

export interface OfferCardProps {
  offer: NetworkOffer;
  busy: string | null;
  onYes: () => void;
  onNo: () => void;
}

/** Who invites, to what, what it asks of this computer; and the question. */
export function OfferCard({ offer, busy, onYes, onNo }: OfferCardProps) {
  const title = useFocusOnMount<HTMLHeadingElement>();
  return (
    <section className={`${controls["card"]} ${styles["offer"]}`} aria-labelledby="offer-title">
      <p className={styles["label"]}>{say("You are invited to")}</p>
      <h2 id="offer-title" ref={title} tabIndex={-1} className={styles["name"]}>
        {offer.card.name}
      </h2>
      <Rows testId="offer">
        {offerRows(offer)
          .slice(1)
          .map(({ name, value }) => (
            <Row key={name} name={name}>
              {value}
            </Row>
          ))}
      </Rows>
      <p className={styles["promise"]}>
        {say(
          "Nothing is downloaded or computed before you say yes. Your schedule and safety rules hold there too, and you can leave at any time. The key is the network's identity: compare it with its operator's when you want to be sure.",
        )}
      </p>
      {offer.joined && (
        <p className={controls["hint"]}>
          {say("You have joined it already: joining again makes it the active one.")}
        </p>
      )}
      <div className={styles["actions"]}>
        <button
          type="button"
          className={`${controls["button"]} ${controls["primary"]}`}
          aria-disabled={busy !== null}
          onClick={onYes}
        >
          {busy === "join" ? say("Joining …") : say("Yes, join and work for it")}
        </button>
        <button type="button" className={controls["button"]} aria-disabled={busy !== null} onClick={onNo}>
          {say("No, not now")}
        </button>
      </div>
    </section>
  );
}
