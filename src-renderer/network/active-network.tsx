import { Row, Rows } from "../parts/rows.tsx";
import { say } from "../../src-protocol/say.ts";
import { awayText } from "../../src-protocol/network-text.ts";
import type { NetworkView } from "../../src-protocol/networks.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { Word } from "../parts/word.tsx";
import { LoadingBar } from "./loading-bar.tsx";
import styles from "./network.module.css";

/** The network that this computer works for now. */
export function ActiveNetwork({ network }: { network: NetworkView }) {
  const { kind, name, operator, url, connected, neighbours } = network;
  const now = useNow(1_000);
  const away = awayText(network, now);
  return (
    <section className={controls["card"]} aria-labelledby="active-title">
      <p className={styles["label"]}>{say("Works for")}</p>
      <h2 id="active-title" className={styles["name"]} data-testid="network-name">
        {kind === "embedded" ? say("This computer") : name}
      </h2>
      {kind === "embedded" ? (
        <p className={controls["hint"]}>
          {say(
            "A whole small network on this computer alone: your worker and {count, plural, one {# neighbour} other {# neighbours}}, each a process of its own. Nothing leaves this computer. With an invitation it trains together with other homes.",
            { count: neighbours },
          )}
        </p>
      ) : (
        <>
          <p
            className={styles["status"]}
            data-tone={connected ? "good" : "warn"}
            data-testid="network-status"
          >
            <span className={styles["dot"]} aria-hidden="true" />
            {away ?? (connected ? say("Connected.") : say("Connecting …"))}
          </p>
          <LoadingBar />
          <Rows>
            <Row name={<Word is="operator">{say("Operated by")}</Word>}>
              {operator === "" ? say("it does not say") : operator}
            </Row>
            <Row name={say("Address")}>{url}</Row>
          </Rows>
        </>
      )}
    </section>
  );
}
