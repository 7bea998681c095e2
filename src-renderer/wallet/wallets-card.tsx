import { useState } from "react";
import type { ListedKey } from "../../src-protocol/wallet-ipc.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import { KeyDialog } from "./key-dialog.tsx";
import { NewKey } from "./new-key.tsx";
import { OldPassword } from "./new-password.tsx";
import { TakeKey } from "./take-key.tsx";
import type { WalletList } from "./wallet.tsx";
import styles from "./wallet.module.css";

/** All keys of the folder, in Bittensor's own layout; another one can be put to work. */
export function WalletsCard({ list, onChanged }: { list: WalletList; onChanged: () => void }) {
  return (
    <section className={controls["card"]} aria-labelledby="wallets-title">
      <div className={controls["cardHead"]}>
        <h2 id="wallets-title" className={controls["cardTitle"]}>
          Wallets
        </h2>
        <div className={styles["line"]}>
          <KeyDialog open="Make a key …" title="A new key">
            {(close) => (
              <NewKey
                wallets={list.wallets}
                onDone={() => {
                  close();
                  onChanged();
                }}
              />
            )}
          </KeyDialog>
          <KeyDialog open="Take a key in …" title="A key that you have">
            {(close) => (
              <TakeKey
                wallets={list.wallets}
                onDone={() => {
                  close();
                  onChanged();
                }}
              />
            )}
          </KeyDialog>
        </div>
      </div>
      <p className={controls["hint"]}>
        In <code>{list.root}</code>, as Bittensor&apos;s own tools keep them: they can read these, and these
        theirs.
      </p>
      <ul className={styles["wallets"]}>
        {list.wallets.map(({ name, coldkey, hotkeys }) => (
          <li key={name}>
            <h3>{name}</h3>
            <ul className={styles["keys"]}>
              {coldkey !== null && <KeyRow kind="coldkey" row={coldkey} />}
              {hotkeys.map((row) => (
                <KeyRow
                  key={row.name}
                  kind="hotkey"
                  row={row}
                  use={
                    row.holds === "public" || row.problem !== null
                      ? null
                      : { wallet: name, isInUse: row.path === list.inUse, onChanged }
                  }
                />
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </section>
  );
}

const HOLDS: Record<ListedKey["holds"], string> = {
  secret: "",
  locked: "under a password",
  public: "address only",
};

interface Use {
  readonly wallet: string;
  readonly isInUse: boolean;
  readonly onChanged: () => void;
}

function KeyRow({ kind, row, use = null }: { kind: "coldkey" | "hotkey"; row: ListedKey; use?: Use | null }) {
  const [password, setPassword] = useState("");
  const { busy, failure, run } = useAction();
  const needsPassword = row.holds === "locked" && failure !== null;
  const put = async ({ wallet, onChanged }: Use) => {
    const given = password === "" ? null : password;
    const call = { wallet, hotkey: row.name, password: given };
    if (await run("use", () => getBridge().call("wallet.use", call))) onChanged();
  };
  return (
    <li>
      <div className={styles["key"]}>
        <span className={styles["keyName"]}>
          {kind === "coldkey" ? "Coldkey" : `Hotkey ${row.name}`}
          {HOLDS[row.holds] !== "" && <small>{HOLDS[row.holds]}</small>}
        </span>
        <span>
          {row.address === null ? (
            <span className={controls["hint"]}>address unknown until it is opened</span>
          ) : (
            <CopyText text={row.address} what={`address of ${row.name}`} />
          )}
        </span>
        {use?.isInUse === true && <span className={styles["inUse"]}>works here</span>}
        {use?.isInUse === false && (
          <button
            type="button"
            className={controls["button"]}
            aria-label={`Work with ${use.wallet} ${row.name}`}
            aria-disabled={busy !== null}
            onClick={() => void put(use)}
          >
            {busy === null ? "Work with it" : "Changing …"}
          </button>
        )}
      </div>
      {row.problem !== null && <p className={controls["hint"]}>{row.problem}</p>}
      {needsPassword && <OldPassword value={password} onChange={setPassword} />}
      {failure !== null && <FailureNotice failure={failure} />}
    </li>
  );
}
