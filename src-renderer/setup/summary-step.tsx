import { Row, Rows } from "../parts/rows.tsx";
import { say } from "../../src-protocol/say.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { limitText } from "../../src-protocol/line-limits.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { previewOf } from "../schedule/next-runs.ts";
import type { SetUpDraft } from "./steps.ts";

/** All that was chosen, on one page, before the yes. */
export function SummaryStep({ draft: { rules, where }, now }: { draft: SetUpDraft; now: number }) {
  const state = useDashboard(({ state }) => state);
  if (state === null) return null;
  const { uploadMbit, downloadMbit } = rules.limits;
  return (
    <>
      <section className={controls["card"]} aria-label={say("What you have chosen")}>
        <Rows>
          <Row name={say("When")}>{previewOf(rules, now).join(" ")}</Row>
          <Row name={say("Your line")}>
            {say("Up: {uploadMbit}. Down: {downloadMbit}.", {
              uploadMbit: limitText(uploadMbit),
              downloadMbit: limitText(downloadMbit),
            })}
          </Row>
          <Row name={say("For whom")}>
            {where.kind === "alone" ? say("This computer alone") : where.offer.card.name}
          </Row>
          <Row name={say("What it earns")}>
            {where.kind === "alone"
              ? say("Test units. They are worth nothing, and show how earning works.")
              : say(
                  "What that network grants for finished work. What a night brings is shown when the first one is over: nobody can promise it before.",
                )}
          </Row>
          <Row name={say("Your key")}>
            <CopyText text={state.node.hotkey} what={say("address of your key")} />
            <p className={controls["hint"]}>
              {say(
                "Kept on this computer alone. A copy of it can be saved under Wallet, and the address that is paid can be changed there.",
              )}
            </p>
          </Row>
        </Rows>
      </section>
      <p className={controls["hint"]}>
        {say(
          "Everything here can be changed at any time. A pause is always one click away. “End it” under Settings ends all of it; closing this page does not.",
        )}
      </p>
    </>
  );
}
