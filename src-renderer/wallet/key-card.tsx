import { FormActions } from "../parts/form-actions.tsx";
import { Row, Rows } from "../parts/rows.tsx";
import { Trans } from "@lingui/react";
import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useState } from "react";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import { KeyAtRest } from "./key-at-rest.tsx";
import { KeyDialog } from "./key-dialog.tsx";
import { keyAt, passwordProblem } from "./key-names.ts";
import { NewPassword, NOTHING_TYPED, OldPassword } from "./new-password.tsx";
import { saveFile } from "./save-file.ts";
import { Word } from "../parts/word.tsx";
import type { WalletList } from "./wallet.tsx";
import styles from "./wallet.module.css";

/** The key that works on this computer, where it lies, and a copy of it for a bad day. */
export function KeyCard({
  list,
  address,
  onChanged,
}: {
  list: WalletList;
  address: string;
  onChanged: () => void;
}) {
  const place = keyAt(list.wallets, list.inUse);
  return (
    <section className={controls["card"]} aria-labelledby="key-title">
      <h2 id="key-title" className={controls["cardTitle"]}>
        {say("Your key")}
      </h2>
      <p className={styles["text"]}>
        {say(
          "It signs the receipts and claims of this computer. Whoever has it can claim in your name, and what it earns goes to the payout address alone.",
        )}
      </p>
      <Rows>
        <Row name={<Word is="hotkey">{say("Address (hotkey)")}</Word>}>
          <span data-testid="hotkey">
            <CopyText text={address} what={say("address of your key")} />
          </span>
        </Row>
        <Row name={say("File")}>
          <code>{list.inUse}</code>
          <KeyAtRest atRest={list.atRest} onChanged={onChanged} />
        </Row>
      </Rows>
      {place !== null && (
        <KeyDialog open={say("Save a copy …")} title={say("A copy of your key")}>
          {(close) => <Backup {...place} onDone={close} />}
        </KeyDialog>
      )}
    </section>
  );
}

function Backup({ wallet, hotkey, onDone }: { wallet: string; hotkey: string; onDone: () => void }) {
  const [typed, setTyped] = useState(NOTHING_TYPED);
  const [opening, setOpening] = useState("");
  const [tried, setTried] = useState(false);
  const { busy, failure, run } = useAction();
  const problem = passwordProblem(typed.password, typed.again);
  const isLocked = failure?.code === "wallet-encrypted" || opening !== "";
  const save = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (problem !== null) return;
    const saved = await run("save", async () => {
      const { content } = await getBridge().call("wallet.backup", {
        wallet,
        hotkey,
        password: opening === "" ? null : opening,
        backupPassword: typed.password,
      });
      saveFile(`${wallet}-${hotkey}.json`, content);
    });
    if (saved) onDone();
  };
  return (
    <form onSubmit={(event) => void save(event)} noValidate className={styles["form"]}>
      <p className={styles["text"]}>
        <Trans
          id="The file holds the key under a password of its own. polkadot-js, browser wallets and <0>tah wallet import</0> open it. Without the password nobody does."
          components={{ 0: <code /> }}
        />
      </p>
      {isLocked && <OldPassword value={opening} onChange={setOpening} />}
      <NewPassword typed={typed} onChange={setTyped} />
      {tried && problem !== null && <p className={controls["hint"]}>{problem}</p>}
      {failure !== null && <FailureNotice failure={failure} />}
      <FormActions
        submit={busy === null ? say("Save the file") : say("Locking it …")}

        isBusy={busy !== null}
        onCancel={onDone}
      />
    </form>
  );
}
