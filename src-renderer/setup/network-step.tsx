import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useState } from "react";
import { offerRows } from "../../src-protocol/network-text.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import choices from "../schedule/mode-choice.module.css";
import type { Where } from "./steps.ts";
import styles from "./setup.module.css";

/** This computer alone, or an invitation: where it leads is seen before the last step's yes. */
export function NetworkStep({ where, onChange }: { where: Where; onChange: (where: Where) => void }) {
  const [wanted, setWanted] = useState(where.kind);
  const choose = (kind: Where["kind"]) => {
    setWanted(kind);
    if (kind === "alone") onChange({ kind: "alone" });
  };
  return (
    <>
      <fieldset className={choices["choices"]}>
        <legend className={controls["hidden"]}>{say("For whom shall it work?")}</legend>
        <Choice
          title={say("This computer alone")}
          about={say(
            "To see how it works: a small model, test units that are worth nothing. You can join a network later.",
          )}
          checked={wanted === "alone"}
          onChoose={() => choose("alone")}
        />
        <Choice
          title={say("A network that invited me")}
          about={say("Paste its operator's invitation: a line that begins with tah1.")}
          checked={wanted === "network"}
          onChoose={() => choose("network")}
        />
      </fieldset>
      {wanted === "network" && where.kind === "alone" && <Invitation onFound={onChange} />}
      {where.kind === "network" && (
        <section className={controls["card"]} aria-label={where.offer.card.name}>
          <h2 className={controls["cardTitle"]}>{where.offer.card.name}</h2>
          <dl className={styles["rows"]} data-testid="offer">
            {offerRows(where.offer)
              .slice(1)
              .map(({ name, value }) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
          </dl>
        </section>
      )}
    </>
  );
}

function Choice({
  title,
  about,
  checked,
  onChoose,
}: {
  title: string;
  about: string;
  checked: boolean;
  onChoose: () => void;
}) {
  return (
    <label>
      <input type="radio" name="where" checked={checked} onChange={onChoose} />
      <strong>{title}</strong>
      <small>{about}</small>
    </label>
  );
}

function Invitation({ onFound }: { onFound: (where: Where) => void }) {
  const id = useId();
  const [text, setText] = useState("");
  const { busy, failure, run } = useAction();
  const look = (event: FormEvent) => {
    event.preventDefault();
    const invitation = text.trim();
    if (invitation === "") return document.getElementById(id)?.focus();
    return void run("look", async () => {
      onFound({ kind: "network", invitation, offer: await getBridge().call("network.look", { invitation }) });
    });
  };
  return (
    <form className={controls["card"]} onSubmit={look} noValidate>
      <label htmlFor={id} className={controls["hint"]}>
        {say("Invitation")}
      </label>
      <textarea
        id={id}
        className={`${controls["field"]} ${styles["invitation"]}`}
        rows={3}
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <div className={styles["actions"]}>
        <button type="submit" className={controls["button"]} aria-disabled={busy !== null}>
          {busy === null ? say("See where it leads") : say("Looking …")}
        </button>
        <p className={controls["hint"]}>{say("This asks the network who it is. Nothing is joined yet.")}</p>
      </div>
      {failure !== null && <FailureNotice failure={failure} />}
    </form>
  );
}
