import { TextField } from "../parts/text-field.tsx";
import { FormActions } from "../parts/form-actions.tsx";
import { Trans } from "@lingui/react";
import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useState } from "react";
import type { ListedWallet } from "../../src-protocol/wallet-ipc.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useFocusOnMount } from "../parts/focus-on-mount.ts";
import { useAction } from "../parts/use-action.ts";
import { askedWords, freeName, passwordProblem } from "./key-names.ts";
import { NewPassword, NOTHING_TYPED } from "./new-password.tsx";
import styles from "./wallet.module.css";

/** Makes a hotkey or a coldkey, shows its phrase once, and asks for two of its words. */
export function NewKey({ wallets, onDone }: { wallets: readonly ListedWallet[]; onDone: () => void }) {
  const id = useId();
  const [kind, setKind] = useState<"hotkey" | "coldkey">("hotkey");
  const [wallet, setWallet] = useState(() => freeName(wallets, "mine"));
  const [typed, setTyped] = useState(NOTHING_TYPED);
  const [tried, setTried] = useState(false);
  const [phrase, setPhrase] = useState<string | null>(null);
  const { busy, failure, run } = useAction();
  const isOptional = kind === "hotkey";
  const problem = isOptional && typed.password === "" ? null : passwordProblem(typed.password, typed.again);
  const make = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (problem !== null) return;
    void run("make", async () => {
      const made = await getBridge().call("wallet.create", {
        wallet: wallet.trim(),
        hotkey: kind === "hotkey" ? "default" : null,
        password: typed.password === "" ? null : typed.password,
      });
      setTyped(NOTHING_TYPED);
      setPhrase(made.phrase);
    });
  };
  if (phrase !== null) return <Phrase phrase={phrase} onDone={onDone} />;
  return (
    <form onSubmit={make} noValidate className={styles["form"]}>
      <fieldset className={styles["choices"]}>
        <legend className={controls["hidden"]}>{say("What kind of key?")}</legend>
        <label>
          <input type="radio" name={id} checked={kind === "hotkey"} onChange={() => setKind("hotkey")} />
          <span>
            {say("A hotkey")}
            <small>{say("works on this computer at night, so it usually has no password")}</small>
          </span>
        </label>
        <label>
          <input type="radio" name={id} checked={kind === "coldkey"} onChange={() => setKind("coldkey")} />
          <span>
            {say("A coldkey")}
            <small>{say("is paid; it stands under a password, and works nowhere")}</small>
          </span>
        </label>
      </fieldset>
      <TextField label={say("Name of its wallet")} maxLength={64} value={wallet} onChange={setWallet} />
      <NewPassword typed={typed} onChange={setTyped} isOptional={isOptional} />
      {tried && problem !== null && <p className={controls["hint"]}>{problem}</p>}
      {failure !== null && <FailureNotice failure={failure} />}
      <FormActions
        submit={busy === null ? say("Make it") : say("Making it …")}

        isBusy={busy !== null}
        onCancel={onDone}
      />
    </form>
  );
}

/** The words, once; then two of them are asked for. */
function Phrase({ phrase, onDone }: { phrase: string; onDone: () => void }) {
  const title = useFocusOnMount<HTMLParagraphElement>();
  const words = phrase.split(" ");
  const asked = askedWords(phrase);
  const [step, setStep] = useState<"write" | "ask">("write");
  const [given, setGiven] = useState<readonly string[]>(() => asked.map(() => ""));
  const [isWrong, setWrong] = useState(false);
  const check = (event: FormEvent) => {
    event.preventDefault();
    const isRight = asked.every((at, i) => given[i]?.trim().toLowerCase() === words[at]);
    setWrong(!isRight);
    if (isRight) onDone();
  };
  if (step === "write")
    return (
      <div className={styles["form"]}>
        <p ref={title} tabIndex={-1} className={styles["text"]}>
          <Trans
            id="<0>Write these words on paper, now.</0> Whoever has them has the key, and nobody can give them to you again. They are shown this once."
            components={{ 0: <strong /> }}
          />
        </p>
        <ol className={styles["phrase"]} data-testid="phrase">
          {words.map((word, i) => (
            // A phrase may hold a word twice, and never changes.
            // oxlint-disable-next-line react/no-array-index-key
            <li key={i}>{word}</li>
          ))}
        </ol>
        <div className={controls["actions"]}>
          <button
            type="button"
            className={`${controls["button"]} ${controls["primary"]}`}
            onClick={() => setStep("ask")}
          >
            {say("They are on paper")}
          </button>
        </div>
      </div>
    );
  return (
    <form onSubmit={check} noValidate className={styles["form"]}>
      <p className={styles["text"]}>{say("Two words of your paper, so that it is sure:")}</p>
      {asked.map((at, i) => (
        <TextField
          key={at}
          label={say("Word {at}", { at: at + 1 })}
          maxLength={32}
          value={given[i] ?? ""}
          onChange={(word) => setGiven(given.with(i, word))}
        />
      ))}
      {isWrong && (
        <p className={controls["hint"]} role="alert">
          {say("That is another word. Look at the paper, and at the list again.")}
        </p>
      )}
      <div className={controls["actions"]}>
        <button type="button" className={controls["button"]} onClick={() => setStep("write")}>
          {say("See the words again")}
        </button>
        <button type="submit" className={`${controls["button"]} ${controls["primary"]}`}>
          {say("Done")}
        </button>
      </div>
    </form>
  );
}
