import { Dialog } from "@base-ui/react/dialog";
import { useState } from "react";
import type { FailureBody } from "../../src-protocol/failure.ts";
import type { AskedOperator, GoBackRequest } from "../../src-protocol/go-back.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { momentText } from "../../src-protocol/reason-text.ts";
import { say } from "../../src-protocol/say.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { count } from "../parts/format.ts";
import { Row, Rows } from "../parts/rows.tsx";
import { useAction } from "../parts/use-action.ts";
import styles from "./network.module.css";

/** Of computers that would bring something back: whoever wants all reads `tah network status`. */
const MOST_SHOWN = 6;

/** What the network that this person serves waits for their word about; nothing for anybody else. */
export function AskedCard() {
  const asked = useDashboard(({ state }) => state?.asked ?? null);
  const own = useDashboard(({ state }) => state?.node.hotkey ?? null);
  const now = useNow(15_000);
  const { busy, failure, run } = useAction();
  if (asked === null) return null;
  return (
    <Asked
      asked={asked}
      own={own}
      now={now}
      isBusy={busy !== null}
      failure={failure}
      onGoBack={(request) => void run("go-back", () => getBridge().call("network.goBack", request))}
    />
  );
}

export interface AskedProps {
  asked: AskedOperator;
  /** The key that this computer works with. */
  own: Ss58Address | null;
  now: number;
  isBusy: boolean;
  failure: FailureBody | null;
  onGoBack: (request: GoBackRequest) => void;
}

export function Asked({ asked, own, now, isBusy, failure, onGoBack }: AskedProps) {
  // As it was asked when the button was pressed: what is agreed to does not change under the hand.
  const [giving, setGiving] = useState<AskedOperator>(asked);
  const [isOpen, setOpen] = useState(false);
  const { network, resumeStep, lostSteps, awaited = [] } = asked;
  return (
    <section className={`${controls["card"]} ${styles["asked"]}`} aria-labelledby="asked-title">
      <h2 id="asked-title" className={controls["cardTitle"]}>
        {say("{network} waits for your decision", { network })}
      </h2>
      <p className={styles["askedText"]} data-testid="asked">
        {resumeStep === 0
          ? say(
              "No computer that is here has the newest work. Wait for those that have it, and nothing is lost; or let the training begin again without them: then {count, plural, one {the one step is} other {all # steps are}} lost.",
              { count: lostSteps },
            )
          : say(
              "No computer that is here has the newest work. Wait for those that have it, and nothing is lost; or let the training go on without them from step {step}: then {count, plural, one {# step is} other {# steps are}} lost.",
              { step: count(resumeStep), count: lostSteps },
            )}
      </p>
      {awaited.length === 0 ? (
        <p className={controls["hint"]}>{say("The network cannot tell which computers have it.")}</p>
      ) : (
        <Rows testId="awaited">
          {awaited.slice(0, MOST_SHOWN).map(({ sessionKey, hotkey, stage, goneAt }) => (
            <Row key={`${sessionKey} ${stage}`} name={say("Slice {index}", { index: count(stage + 1) })}>
              {hotkey === own ? (
                say("a computer with your key")
              ) : (
                <CopyText text={hotkey} what={say("hotkey")} />
              )}
              <span className={controls["hint"]}>
                {" "}
                {say("gone since {moment}", { moment: momentText(goneAt, now) })}
              </span>
            </Row>
          ))}
          {awaited.length > MOST_SHOWN && (
            <Row name="">
              {say("and {count, plural, one {# more} other {# more}}", {
                count: awaited.length - MOST_SHOWN,
              })}
            </Row>
          )}
        </Rows>
      )}
      <p className={`${controls["hint"]} ${styles["askedText"]}`}>
        {say(
          "It waits as long as you like and trains nothing meanwhile; when they come back it goes on by itself. What they have stays on their disks either way.",
        )}
      </p>
      <div className={styles["actions"]}>
        <button
          type="button"
          className={controls["button"]}
          aria-disabled={isBusy}
          onClick={() => {
            if (isBusy) return;
            setGiving(asked);
            setOpen(true);
          }}
        >
          {isBusy
            ? say("Going back …")
            : resumeStep === 0
              ? say("Begin again without them …")
              : say("Go back to step {step} …", { step: count(resumeStep) })}
        </button>
      </div>
      {failure !== null && <FailureNotice failure={failure} />}
      <GiveUp
        asked={giving}
        isOpen={isOpen}
        onKeep={() => setOpen(false)}
        onGiveUp={() => {
          setOpen(false);
          onGoBack({ resumeStep: giving.resumeStep, lostSteps: giving.lostSteps });
        }}
      />
    </section>
  );
}

function GiveUp({
  asked: { network, resumeStep, lostSteps },
  isOpen,
  onKeep,
  onGiveUp,
}: {
  asked: AskedOperator;
  isOpen: boolean;
  onKeep: () => void;
  onGiveUp: () => void;
}) {
  return (
    <Dialog.Root open={isOpen} onOpenChange={(open) => !open && onKeep()}>
      <Dialog.Portal>
        <Dialog.Backdrop className={controls["backdrop"]} />
        <Dialog.Popup className={controls["dialog"]}>
          <Dialog.Title>
            {say("Give up {count, plural, one {# step} other {# steps}}?", { count: lostSteps })}
          </Dialog.Title>
          <Dialog.Description className={styles["leaving"]}>
            {resumeStep === 0
              ? say(
                  "{network} begins again from the start. Computers that come back later keep what they have on their disks, but the training does not take it up again.",
                  { network },
                )
              : say(
                  "{network} goes on from step {step}. Computers that come back later keep what they have on their disks, but the training does not take it up again.",
                  { network, step: count(resumeStep) },
                )}
          </Dialog.Description>
          <div className={controls["actions"]}>
            <Dialog.Close className={controls["button"]}>{say("Keep waiting")}</Dialog.Close>
            <button
              type="button"
              className={`${controls["button"]} ${controls["primary"]}`}
              onClick={onGiveUp}
            >
              {resumeStep === 0 ? say("Begin again") : say("Go back")}
            </button>
          </div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
