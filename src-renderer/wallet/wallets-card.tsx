import { Trans } from "@lingui/react";
import { phrase, say } from "../../src-protocol/say.ts";
import { useState } from "react";
import type { ListedKey } from "../../src-protocol/wallet-ipc.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { Word } from "../parts/word.tsx";
import { useAction } from "../parts/use-action.ts";
import { KeyDialog } from "./key-dialog.tsx";
import { NewKey } from "./new-key.tsx";
import { OldPassword } from "./new-password.tsx";
import { TakeKey } from "./take-key.tsx";
import type { WalletList } from "./wallet.tsx";
import styles from "./wallet.module.css";
import { Heard } from "../parts/heard.tsx";

/** All keys of the folder, in Bittensor's own layout; another one can be put to work. */
export function WalletsCard({ list, onChanged }: { list: WalletList; onChanged: () => void }) {
  return (
    <section className={controls["card"]} aria-labelledby="wallets-title">
      <div className={controls["cardHead"]}>
        <h2 id="wallets-title" className={controls["cardTitle"]}>
          {say("Wallets")}
        </h2>
        <div className={styles["line"]}>
          <KeyDialog open={say("Make a key …")} title={say("A new key")}>
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
          <KeyDialog open={say("Take a key in …")} title={say("A key that you have")}>
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
        <Trans
          id="In <0>{folder}</0>, as Bittensor's own tools keep them: they can read these, and these theirs."
          values={{ folder: list.root }}
          components={{ 0: <code /> }}
        />
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
  locked: phrase("under a password"),
  public: phrase("address only"),
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
          {kind === "coldkey" ? (
            <Word is="coldkey">{say("Coldkey")}</Word>
          ) : (
            say("Hotkey {name}", { name: row.name })
          )}
          {HOLDS[row.holds] !== "" && <small>{say(HOLDS[row.holds])}</small>}
        </span>
        <span>
          {row.address === null ? (
            <span className={controls["hint"]}>{say("address unknown until it is opened")}</span>
          ) : (
            <CopyText text={row.address} what={say("address of {name}", { name: row.name })} />
          )}
        </span>
        {use?.isInUse === true && <span className={styles["inUse"]}>{say("works here")}</span>}
        {use?.isInUse === false && (
          <button
            type="button"
            className={controls["button"]}
            aria-label={say("Work with {wallet} {name}", { wallet: use.wallet, name: row.name })}
            aria-disabled={busy !== null}
            onClick={() => void put(use)}
          >
            {busy === null ? say("Work with it") : say("Changing …")}
          </button>
        )}
      </div>
      {row.problem !== null && (
        <p className={controls["hint"]}>
          <Heard text={row.problem} />
        </p>
      )}
      {needsPassword && <OldPassword value={password} onChange={setPassword} />}
      {failure !== null && <FailureNotice failure={failure} />}
    </li>
  );
}
