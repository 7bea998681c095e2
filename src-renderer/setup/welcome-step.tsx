import layout from "../parts/layout.module.css";
import { phrase, say } from "../../src-protocol/say.ts";
import controls from "../parts/controls.module.css";
import styles from "./setup.module.css";

const DOES = [
  phrase(
    "It holds one slice of a model that is too large for any one home, and trains it together with other computers.",
  ),
  phrase(
    "It works only when your rules allow it: while you sleep, on power, when nobody uses the computer. Pause is one click away.",
  ),
  phrase("For finished work it gets receipts, and what they are worth is counted here."),
] as const;
const NEVER = [
  phrase(
    "It never reads your files: what it trains on comes from the network, or from a folder that you name.",
  ),
  phrase("It opens no port in your router, sends no statistics about you, and asks for no account."),
  phrase("Nothing is downloaded and nothing computes before you have said yes."),
] as const;

/** What it does, what it never does; and two ways to go on. */
export function WelcomeStep({
  busy,
  onNext,
  onShow,
}: {
  busy: boolean;
  onNext: () => void;
  onShow: () => void;
}) {
  return (
    <>
      <div className={layout["pair"]}>
        <Promises title={say("What it does")} lines={DOES} kind="does" />
        <Promises title={say("What it never does")} lines={NEVER} kind="never" />
      </div>
      <div className={styles["actions"]}>
        <button
          type="button"
          className={`${controls["button"]} ${controls["primary"]}`}
          aria-disabled={busy}
          onClick={onNext}
        >
          {say("Set it up")}
        </button>
        <button type="button" className={controls["button"]} aria-disabled={busy} onClick={onShow}>
          {busy ? say("Beginning …") : say("Just show me")}
        </button>
        <p className={controls["hint"]}>
          {say(
            "“Just show me” begins now, on this computer alone: a small model, at full speed, for test units that are worth nothing. It goes on when you close this page; “End it” under Settings ends it.",
          )}
        </p>
      </div>
    </>
  );
}

function Promises({ title, lines, kind }: { title: string; lines: readonly string[]; kind: string }) {
  return (
    <section className={controls["card"]} aria-label={title}>
      <h2 className={controls["cardTitle"]}>{title}</h2>
      <ul className={styles["promises"]} data-kind={kind}>
        {lines.map((line) => (
          <li key={line}>{say(line)}</li>
        ))}
      </ul>
    </section>
  );
}
