import { Popover } from "@base-ui/react/popover";
import type { ReactNode } from "react";
import { GLOSSARY, type Term } from "../../src-protocol/glossary.ts";
import { say } from "../../src-protocol/say.ts";
import controls from "./controls.module.css";
import styles from "./word.module.css";

/** A word that not everybody knows: what it means is a click, a touch or a key away. */
export function Word({ is, children }: { is: Term; children: ReactNode }) {
  const { word, says } = GLOSSARY[is];
  return (
    <Popover.Root>
      <Popover.Trigger className={styles["word"]}>{children}</Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner
          className={controls["positioner"]}
          sideOffset={6}
          align="start"
          collisionPadding={12}
        >
          <Popover.Popup className={`${controls["popup"]} ${styles["meaning"]}`}>
            <Popover.Title className={styles["title"]}>{say(word)}</Popover.Title>
            <Popover.Description>{say(says)}</Popover.Description>
            <p className={styles["more"]}>
              <a href="#glossary">{say("All words")}</a>
            </p>
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
