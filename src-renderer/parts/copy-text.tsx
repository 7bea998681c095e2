import { say } from "../../src-protocol/say.ts";
import { useState } from "react";
import controls from "./controls.module.css";
import styles from "./copy-text.module.css";
import { shortened } from "./format.ts";
import { CheckIcon, CopyIcon } from "./icons.tsx";

/** A long text, shortened to look at, whole to copy. */
export function CopyText({
  text,
  what,
  isWhole = false,
}: {
  text: string;
  what: string;
  /** Short enough to be read. */
  isWhole?: boolean;
}) {
  const [copied, setCopied] = useState<"no" | "yes" | "failed">("no");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied("yes");
    } catch {
      setCopied("failed");
    }
  };
  return (
    <span className={styles["box"]}>
      {/* The browser refused to copy: then it can be selected by hand. */}
      <code title={text}>{copied === "failed" || isWhole ? text : shortened(text)}</code>
      <button
        type="button"
        className={`${controls["button"]} ${controls["quiet"]}`}
        aria-label={say("Copy {what}", { what })}
        onClick={() => void copy()}
      >
        {copied === "yes" ? <CheckIcon /> : <CopyIcon />}
      </button>
      <output className={controls["hidden"]}>
        {copied === "yes" && say("The {what} is copied.", { what })}
        {copied === "failed" && say("It could not be copied. The whole {what} is shown now.", { what })}
      </output>
    </span>
  );
}
