import { say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import styles from "./connection-notice.module.css";
import { useDashboard } from "../bridge/dashboard.ts";

/** After this long it is not a hiccup, and waiting is not the whole advice any more. */
const HINT_AFTER_MS = 6_000;

/** Says that what is seen is old, and what to do when it stays so. */
export function ConnectionNotice() {
  const connection = useDashboard(({ connection }) => connection);
  const known = useDashboard(({ state }) => state !== null);
  const long = useLasting(connection !== "open", HINT_AFTER_MS);
  if (connection === "open") {
    return known ? null : <p className={styles["notice"]}>{say("Reading the state …")}</p>;
  }
  return (
    <output className={styles["notice"]}>
      <strong>{connection === "lost" ? say("Connection lost.") : say("Connecting …")}</strong>{" "}
      {connection === "lost" && (known ? `${say("What you see is from before.")} ` : "")}
      {connection === "lost" && say("Trying again …")}
      {long && " "}
      {long &&
        say(
          "Train at Home is not answering. If you stopped it, it is not working: start it again. If not, this page comes back by itself.",
        )}
    </output>
  );
}

function useLasting(on: boolean, ms: number): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!on) return;
    const timer = setTimeout(() => setLasting(true), ms);
    return () => {
      clearTimeout(timer);
      setLasting(false);
    };
  }, [on, ms]);
  return lasting;
}
