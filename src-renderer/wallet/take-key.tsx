import { TextField } from "../parts/text-field.tsx";
import { FormActions } from "../parts/form-actions.tsx";
import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useState } from "react";
import type { ListedWallet } from "../../src-protocol/wallet-ipc.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useAction } from "../parts/use-action.ts";
import { freeName } from "./key-names.ts";
import { OldPassword } from "./new-password.tsx";
import styles from "./wallet.module.css";

/** No key file is larger; a larger one is not read at all. */
const FILE_BYTES = 64 * 1024;
const HOTKEY = "default";

/** Takes a hotkey in, by its phrase or a file of another program, and puts it to work. */
export function TakeKey({
  wallets,
  onDone,
  onCancel = onDone,
}: {
  wallets: readonly ListedWallet[];
  onDone: () => void;
  onCancel?: () => void;
}) {
  const id = useId();
  const [wallet, setWallet] = useState(() => freeName(wallets, "mine"));
  const [phrase, setPhrase] = useState("");
  const [file, setFile] = useState<File | null>(null);
  const [password, setPassword] = useState("");
  const { busy, failure, run } = useAction();
  const isEmpty = phrase.trim() === "" && file === null;
  const take = async (event: FormEvent) => {
    event.preventDefault();
    if (isEmpty) return document.getElementById(`${id}-phrase`)?.focus();
    const done = await run("take", async () => {
      const bridge = getBridge();
      const name = wallet.trim();
      const from =
        file === null
          ? { type: "phrase" as const, phrase }
          : {
              type: "content" as const,
              content: await file.slice(0, FILE_BYTES).text(),
              password: password === "" ? null : password,
            };
      await bridge.call("wallet.import", { wallet: name, hotkey: HOTKEY, from });
      await bridge.call("wallet.use", { wallet: name, hotkey: HOTKEY });
    });
    if (done) onDone();
  };
  return (
    <form onSubmit={(event) => void take(event)} noValidate className={styles["form"]}>
      <p className={styles["text"]}>
        {say(
          "A hotkey, to work with on this computer. A coldkey is better left where it is: its address alone is enough to be paid.",
        )}
      </p>
      <p className={styles["fields"]}>
        <label htmlFor={`${id}-phrase`} className={controls["hint"]}>
          {say("Its secret phrase: 12 to 24 words")}
        </label>
        <textarea
          id={`${id}-phrase`}
          rows={3}
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          maxLength={1000}
          className={`${controls["field"]} ${styles["wide"]}`}
          value={phrase}
          disabled={file !== null}
          onChange={(event) => setPhrase(event.target.value)}
        />
      </p>
      <p className={styles["fields"]}>
        <label htmlFor={`${id}-file`} className={controls["hint"]}>
          {say("Or its file: of Bittensor's tools, or exported by polkadot-js")}
        </label>
        <input
          id={`${id}-file`}
          type="file"
          className={styles["file"]}
          onChange={(event) => setFile(event.target.files?.[0] ?? null)}
        />
      </p>
      {file !== null && <OldPassword value={password} onChange={setPassword} />}
      <TextField label={say("Name of its wallet here")} maxLength={64} value={wallet} onChange={setWallet} />
      {failure !== null && <FailureNotice failure={failure} />}
      <FormActions
        submit={busy === null ? say("Take it in, and work with it") : say("Taking it in …")}
        isReady={!isEmpty}
        isBusy={busy !== null}
        onCancel={onCancel}
      />
    </form>
  );
}
