import { phrase, say } from "../../src-protocol/say.ts";
import { type ReactNode, useState } from "react";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { useFocusOnMount } from "../parts/focus-on-mount.ts";
import { DialMark } from "../parts/icons.tsx";
import { useAction } from "../parts/use-action.ts";
import { ConnectionNotice } from "../frame/connection-notice.tsx";
import { LanguageSelect } from "../language/language-select.tsx";
import { ThemeSwitch } from "../frame/theme-switch.tsx";
import { ComputerStep } from "./computer-step.tsx";
import { KeyStep } from "./key-step.tsx";
import { NetworkStep } from "./network-step.tsx";
import {
  rulesProblem,
  type SetUpDraft,
  type Step,
  STEPS,
  stepAfter,
  stepBefore,
  SUGGESTED,
} from "./steps.ts";
import styles from "./setup.module.css";
import { SummaryStep } from "./summary-step.tsx";
import { WelcomeStep } from "./welcome-step.tsx";
import { WhenStep } from "./when-step.tsx";
import { ALWAYS } from "../../src-protocol/policy.ts";

const TITLES: Record<Step, string> = {
  welcome: phrase("This computer can train a large model while you sleep"),
  computer: phrase("What this computer can do"),
  when: phrase("When may it work?"),
  key: phrase("Where do the earnings go?"),
  network: phrase("For whom?"),
  summary: phrase("Ready"),
};

/** The first minutes: what it is, when it may run, for whom; and a yes, before which nothing computes. */
export function SetUp() {
  const offer = useDashboard(({ state }) => state?.network.offer ?? null);
  const [step, setStep] = useState<Step>("welcome");
  const [draft, setDraft] = useState<SetUpDraft>(() =>
    offer === null ? SUGGESTED : { ...SUGGESTED, where: { kind: "network", invitation: "", offer } },
  );
  const { busy, failure, run } = useAction();
  const now = useNow(30_000);
  const problem = step === "when" ? rulesProblem(draft.rules) : null;

  const begin = ({ rules, where }: SetUpDraft) =>
    void run("begin", async () => {
      const bridge = getBridge();
      // The invitation that it was started with waits in the daemon: the answer goes there.
      if (where.kind === "network" && where.invitation === "") {
        await bridge.call("policy.setRules", { rules });
        return bridge.call("network.answer", { consent: true });
      }
      const invitation = where.kind === "alone" ? null : where.invitation;
      return bridge.call("setup.begin", { rules, invitation, consent: true });
    });

  return (
    <div className={styles["page"]}>
      <header className={styles["head"]}>
        <p className={styles["brand"]}>
          <DialMark />
          {say("Train at Home")}
        </p>
        <div className={styles["choices"]}>
          <LanguageSelect run={run} />
          <ThemeSwitch />
        </div>
      </header>
      <main id="main" className={styles["main"]}>
        <ConnectionNotice />
        {step !== "welcome" && (
          <p className={controls["hint"]}>
            {say("Step {step} of {steps}", { step: STEPS.indexOf(step), steps: STEPS.length - 1 })}
          </p>
        )}
        <StepTitle key={step}>{say(TITLES[step])}</StepTitle>
        {step === "welcome" && (
          <WelcomeStep
            busy={busy !== null}
            onNext={() => setStep("computer")}
            onShow={() => begin({ rules: ALWAYS, where: { kind: "alone" } })}
          />
        )}
        {step === "computer" && <ComputerStep />}
        {step === "when" && (
          <WhenStep rules={draft.rules} now={now} onChange={(rules) => setDraft({ ...draft, rules })} />
        )}
        {step === "key" && <KeyStep />}
        {step === "network" && (
          <NetworkStep where={draft.where} onChange={(where) => setDraft({ ...draft, where })} />
        )}
        {step === "summary" && <SummaryStep draft={draft} now={now} />}
        {problem !== null && <FailureNotice failure={problem} />}
        {failure !== null && <FailureNotice failure={failure} />}
        {step !== "welcome" && (
          <div className={styles["actions"]}>
            <button
              type="button"
              className={controls["button"]}
              aria-disabled={busy !== null}
              onClick={() => setStep(stepBefore(step))}
            >
              {say("Back")}
            </button>
            {step === "summary" ? (
              <button
                type="button"
                className={`${controls["button"]} ${controls["primary"]}`}
                aria-disabled={busy !== null}
                onClick={() => begin(draft)}
              >
                {busy === null ? say("Yes, begin") : say("Beginning …")}
              </button>
            ) : (
              <button
                type="button"
                className={`${controls["button"]} ${controls["primary"]}`}
                aria-disabled={problem !== null}
                onClick={() => problem === null && setStep(stepAfter(step))}
              >
                {say("Continue")}
              </button>
            )}
          </div>
        )}
      </main>
    </div>
  );
}

/** Takes the reader's place along when the step changes. */
function StepTitle({ children }: { children: ReactNode }) {
  const title = useFocusOnMount<HTMLHeadingElement>();
  return (
    <h1 ref={title} tabIndex={-1} className={styles["title"]}>
      {children}
    </h1>
  );
}
