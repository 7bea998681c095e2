import type { FailureBody } from "../../src-protocol/failure.ts";
import controls from "./controls.module.css";
import { AlertIcon } from "./icons.tsx";
import { Heard } from "./heard.tsx";

/** What went wrong, as the daemon said it: its messages are made for people. */
export function FailureNotice({ failure }: { failure: FailureBody }) {
  return (
    <div className={controls["failure"]} role="alert" data-code={failure.code}>
      <AlertIcon />
      <p>
        <Heard text={failure.message} />
      </p>
    </div>
  );
}
