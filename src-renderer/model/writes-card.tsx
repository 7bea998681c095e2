import { say } from "../../src-protocol/say.ts";
import { type FormEvent, useId, useState } from "react";
import type { MethodResult } from "../../src-protocol/methods.ts";
import { getBridge } from "../bridge/bridge.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { count } from "../parts/format.ts";
import { useAction } from "../parts/use-action.ts";
import styles from "./model.module.css";

const FIRST_PROMPT = "The ";

/** A few words that the model writes by now: the plainest sign that it learns. */
export function WritesCard({ isHere }: { isHere: boolean }) {
  const id = useId();
  const [prompt, setPrompt] = useState(FIRST_PROMPT);
  const [tries, setTries] = useState(0);
  const [written, setWritten] = useState<MethodResult<"model.write"> | null>(null);
  const { busy, failure, run } = useAction();
  const write = (event: FormEvent) => {
    event.preventDefault();
    if (prompt === "") return document.getElementById(id)?.focus();
    return void run("write", async () => {
      setWritten(await getBridge().call("model.write", { prompt, seed: tries }));
      setTries(tries + 1);
    });
  };
  return (
    <section className={controls["card"]} aria-labelledby="writes-title">
      <h2 id="writes-title" className={controls["cardTitle"]}>
        {say("What it writes by now")}
      </h2>
      {isHere ? (
        <>
          <form className={styles["prompt"]} onSubmit={write} noValidate>
            <label htmlFor={id} className={controls["hint"]}>
              {say("Begins with")}
            </label>
            <input
              id={id}
              className={controls["field"]}
              maxLength={500}
              spellCheck={false}
              autoComplete="off"
              value={prompt}
              onChange={(event) => setPrompt(event.target.value)}
            />
            <button type="submit" className={controls["button"]} aria-disabled={busy !== null}>
              {busy !== null ? say("Writing …") : written === null ? say("Let it write") : say("Again")}
            </button>
          </form>
          <output>
            {written !== null && (
              <>
                <blockquote className={styles["written"]} data-testid="written">
                  <strong>{written.prompt}</strong>
                  {written.text}
                </blockquote>
                <p className={controls["hint"]}>
                  {say(
                    "After {step} steps. It begins with letters at random, then learns spaces and short words, then which of them stand together.",
                    { step: count(written.step) },
                  )}
                </p>
              </>
            )}
          </output>
          {failure !== null && <FailureNotice failure={failure} />}
        </>
      ) : (
        <p className={controls["hint"]}>
          {say(
            "Its slices are in several homes, and this computer has one of them: what it writes can be seen where all of them are.",
          )}
        </p>
      )}
    </section>
  );
}
