import { say } from "../../src-protocol/say.ts";
import type { LinkReport } from "../../src-protocol/link-report.ts";
import {
  LINK_WORDS,
  codecsText,
  linkNotices,
  neighbourName,
  roundTripText,
} from "../../src-protocol/link-text.ts";
import { mbitText } from "../../src-protocol/network-text.ts";
import type { NetworkView } from "../../src-protocol/networks.ts";
import controls from "../parts/controls.module.css";
import styles from "./network.module.css";
import { Word } from "../parts/word.tsx";
import { Heard } from "../parts/heard.tsx";

/** How each neighbour in the pipeline is reached, how fast, and why not better. */
export function LinkList({ network: { links, kind } }: { network: NetworkView }) {
  const open = links?.links ?? [];
  const notices = links === null ? [] : linkNotices(links);
  return (
    <section className={controls["card"]} aria-labelledby="links-title">
      <div className={controls["cardHead"]}>
        <h2 id="links-title" className={controls["cardTitle"]}>
          <Word is="link">{say("Links")}</Word>
        </h2>
        <p className={controls["hint"]}>
          {say("to the slices before and after yours, and to whoever shares yours")}
        </p>
      </div>
      {notices.map((text) => (
        <p key={text} className={styles["notice"]}>
          <Heard text={text} />
        </p>
      ))}
      {open.length === 0 ? (
        <p className={controls["empty"]}>
          {kind === "embedded"
            ? say("No link is open now. Links appear while this computer trains with its neighbours.")
            : say(
                "No link is open now. They appear when this computer has a slice and its neighbours are there.",
              )}
        </p>
      ) : (
        <ul className={styles["links"]}>
          {open.map((link) => (
            <LinkRow key={`${link.side} ${link.peer}`} link={link} />
          ))}
        </ul>
      )}
    </section>
  );
}

function LinkRow({ link }: { link: LinkReport }) {
  return (
    <li data-kind={link.kind}>
      <div>
        <h3 className={styles["linkName"]}>{neighbourName(link)}</h3>
        <p className={styles["linkKind"]}>
          {link.kind === "this computer" ? (
            say(LINK_WORDS[link.kind])
          ) : (
            <Word is={link.kind}>{say(LINK_WORDS[link.kind])}</Word>
          )}
        </p>
      </div>
      <dl className={styles["figures"]}>
        <div>
          <dt>{say("Round trip")}</dt>
          <dd>{roundTripText(link)}</dd>
        </div>
        <div>
          <dt>{say("Up")}</dt>
          <dd>{mbitText(link.mbitUp)}</dd>
        </div>
        <div>
          <dt>{say("Down")}</dt>
          <dd>{mbitText(link.mbitDown)}</dd>
        </div>
        <div>
          <dt>{say("Each value")}</dt>
          <dd>{codecsText(link)}</dd>
        </div>
      </dl>
      {link.why !== null && (
        <p className={styles["why"]}>
          <Heard text={link.why} />
        </p>
      )}
    </li>
  );
}
