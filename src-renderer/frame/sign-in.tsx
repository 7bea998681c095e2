import { say } from "../../src-protocol/say.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { DialMark } from "../parts/icons.tsx";
import styles from "./sign-in.module.css";

/** For a browser that the daemon does not know: how it is let in. */
export function SignIn() {
  return (
    <main id="main" className={styles["page"]} data-testid="signed-out">
      <p className={styles["brand"]}>
        <DialMark />
        {say("Train at Home")}
      </p>
      <section className={controls["card"]} aria-labelledby="sign-in-title">
        <h1 id="sign-in-title" className={styles["title"]}>
          {say("Sign in")}
        </h1>
        <p>
          {say(
            "This browser is not known here. Type one of these in a terminal on the computer that trains, and open the address that it prints: it works once, within two minutes.",
          )}
        </p>
        <dl className={styles["commands"]}>
          <div>
            <dt>{say("Installed")}</dt>
            <dd>
              <CopyText text="tah open" what={say("command")} isWhole />
            </dd>
          </div>
          <div>
            <dt>{say("From a checkout")}</dt>
            <dd>
              <CopyText text="npm run -s tah -- open" what={say("command for a checkout")} isWhole />
            </dd>
          </div>
        </dl>
        <p className={controls["hint"]}>
          {say("No password and no account: whoever can use that computer's terminal may see this page.")}
        </p>
      </section>
    </main>
  );
}
