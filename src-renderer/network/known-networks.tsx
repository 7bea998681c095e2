import { Dialog } from "@base-ui/react/dialog";
import { useState } from "react";
import type { KnownNetwork, NetworkId, NetworkView } from "../../src-protocol/networks.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import styles from "./network.module.css";
import { useAction } from "../parts/use-action.ts";

const HERE = "this computer";

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
          Your networks
        </h2>
        <p className={controls["hint"]}>Those that rest keep their progress and what you earned there.</p>
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
              <strong className={styles["active"]}>Active</strong>
            ) : (
              <SwitchButton name={each.name} busy={busy} mine={each.id} onClick={() => change(each.id)} />
            )}
            <button
              type="button"
              className={controls["button"]}
              aria-label={`Leave ${each.name}`}
              aria-disabled={busy !== null}
              onClick={() => setLeaving(each)}
            >
              Leave
            </button>
          </li>
        ))}
        <li>
          <div className={styles["knownName"]}>
            <h3>This computer</h3>
            <p className={controls["hint"]}>the small network on this computer alone</p>
          </div>
          {network.kind === "embedded" ? (
            <strong className={styles["active"]}>Active</strong>
          ) : (
            <SwitchButton name="this computer" busy={busy} mine={HERE} onClick={() => change(null)} />
          )}
        </li>
      </ul>
      {failure !== null && <FailureNotice failure={failure} />}
      <Dialog.Root open={leaving !== null} onOpenChange={(open) => !open && setLeaving(null)}>
        <Dialog.Portal>
          <Dialog.Backdrop className={controls["backdrop"]} />
          <Dialog.Popup className={controls["dialog"]}>
            <Dialog.Title>Leave {leaving?.name}?</Dialog.Title>
            <Dialog.Description className={styles["leaving"]}>
              It stops working for it and forgets the way there. What you earned stays in its books under your
              key; what was kept of it stays in <code>{leaving?.folder}</code> until you delete it.
            </Dialog.Description>
            <div className={controls["actions"]}>
              <Dialog.Close className={controls["button"]}>Stay</Dialog.Close>
              <button
                type="button"
                className={`${controls["button"]} ${controls["primary"]}`}
                onClick={() => leaving !== null && leave(leaving)}
              >
                Leave
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
      aria-label={`Switch to ${name}`}
      aria-disabled={busy !== null}
      onClick={onClick}
    >
      {busy === mine ? "Switching …" : "Switch to it"}
    </button>
  );
}
