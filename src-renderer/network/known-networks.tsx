import { Trans } from "@lingui/react";
import { say } from "../../src-protocol/say.ts";
import { Dialog } from "@base-ui/react/dialog";
import { useState } from "react";
import type { KnownNetwork, NetworkId, NetworkView } from "../../src-protocol/networks.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import styles from "./network.module.css";
import { useAction } from "../parts/use-action.ts";

const HERE = "here";

/** All networks of this computer: one is active, the others keep what they hold. */
export function KnownNetworks({ network }: { network: NetworkView }) {
  const { busy, failure, run } = useAction();
  const [leaving, setLeaving] = useState<KnownNetwork | null>(null);
  if (network.known.length === 0) return null;
  const change = (id: NetworkId | null) =>
    void run(id ?? HERE, () => getBridge().call("network.switch", { network: id }));
  const leave = ({ id }: KnownNetwork) => {
    setLeaving(null);
    void run(id, () => getBridge().call("network.leave", { network: id }));
  };
  return (
    <section className={controls["card"]} aria-labelledby="known-title">
      <div className={controls["cardHead"]}>
        <h2 id="known-title" className={controls["cardTitle"]}>
          {say("Your networks")}
        </h2>
        <p className={controls["hint"]}>
          {say("Those that rest keep their progress and what you earned there.")}
        </p>
      </div>
      <ul className={styles["known"]}>
        {network.known.map((each) => (
          <li key={each.id}>
            <div className={styles["knownName"]}>
              <h3>{each.name}</h3>
              <p className={controls["hint"]}>
                {each.operator === "" ? "" : `${each.operator} · `}
                {each.address}
              </p>
            </div>
            {each.active ? (
              <strong className={styles["active"]}>{say("Active")}</strong>
            ) : (
              <SwitchButton name={each.name} busy={busy} mine={each.id} onClick={() => change(each.id)} />
            )}
            <button
              type="button"
              className={controls["button"]}
              aria-label={say("Leave {name}", { name: each.name })}
              aria-disabled={busy !== null}
              onClick={() => setLeaving(each)}
            >
              {say("Leave")}
            </button>
          </li>
        ))}
        <li>
          <div className={styles["knownName"]}>
            <h3>{say("This computer")}</h3>
            <p className={controls["hint"]}>{say("the small network on this computer alone")}</p>
          </div>
          {network.kind === "embedded" ? (
            <strong className={styles["active"]}>{say("Active")}</strong>
          ) : (
            <SwitchButton name={say("this computer")} busy={busy} mine={HERE} onClick={() => change(null)} />
          )}
        </li>
      </ul>
      {failure !== null && <FailureNotice failure={failure} />}
      <Dialog.Root open={leaving !== null} onOpenChange={(open) => !open && setLeaving(null)}>
        <Dialog.Portal>
          <Dialog.Backdrop className={controls["backdrop"]} />
          <Dialog.Popup className={controls["dialog"]}>
            <Dialog.Title>{say("Leave {name}?", { name: leaving?.name ?? "" })}</Dialog.Title>
            <Dialog.Description className={styles["leaving"]}>
              <Trans
                id="It stops working for it and forgets the way there. What you earned stays in its books under your key; what was kept of it stays in <0>{folder}</0> until you delete it."
                values={{ folder: leaving?.folder ?? "" }}
                components={{ 0: <code /> }}
              />
            </Dialog.Description>
            <div className={controls["actions"]}>
              <Dialog.Close className={controls["button"]}>{say("Stay")}</Dialog.Close>
              <button
                type="button"
                className={`${controls["button"]} ${controls["primary"]}`}
                onClick={() => leaving !== null && leave(leaving)}
              >
                {say("Leave")}
              </button>
            </div>
          </Dialog.Popup>
        </Dialog.Portal>
      </Dialog.Root>
    </section>
  );
}

function SwitchButton({
  name,
  busy,
  mine,
  onClick,
}: {
  name: string;
  busy: string | null;
  mine: string;
  onClick: () => void;
}) {
  return (
    <button
      type="button"
      className={controls["button"]}
      aria-label={say("Switch to {name}", { name })}
      aria-disabled={busy !== null}
      onClick={onClick}
    >
      {busy === mine ? say("Switching …") : say("Switch to it")}
    </button>
  );
}
