import { useDashboard } from "../bridge/dashboard.ts";
import { limitText } from "../../src-protocol/line-limits.ts";
import controls from "../parts/controls.module.css";
import { CopyText } from "../parts/copy-text.tsx";
import { previewOf } from "../schedule/next-runs.ts";
import type { SetUpDraft } from "./steps.ts";
import styles from "./setup.module.css";

/** All that was chosen, on one page, before the yes. */
export function SummaryStep({ draft: { rules, where }, now }: { draft: SetUpDraft; now: number }) {
  const state = useDashboard(({ state }) => state);
  if (state === null) return null;
  const { uploadMbit, downloadMbit } = rules.limits;
  return (
    <>
      <section className={controls["card"]} aria-label="What you have chosen">
        <dl className={styles["rows"]}>
          <div>
            <dt>When</dt>
            <dd>{previewOf(rules, now).join(" ")}</dd>
          </div>
          <div>
            <dt>Your line</dt>
            <dd>
              Up: {limitText(uploadMbit)}. Down: {limitText(downloadMbit)}.
            </dd>
          </div>
          <div>
            <dt>For whom</dt>
            <dd>{where.kind === "alone" ? "This computer alone" : where.offer.card.name}</dd>
          </div>
          <div>
            <dt>What it earns</dt>
            <dd>
              {where.kind === "alone"
                ? "Test units. They are worth nothing, and show how earning works."
                : "What that network grants for finished work. What a night brings is shown when the first one is over: nobody can promise it before."}
            </dd>
          </div>
          <div>
            <dt>Your key</dt>
            <dd>
              <CopyText text={state.node.hotkey} what="address of your key" />
              <p className={controls["hint"]}>
                Kept on this computer alone. A copy of it can be saved under Wallet, and the address that is
                paid can be changed there.
              </p>
            </dd>
          </div>
        </dl>
      </section>
      <p className={controls["hint"]}>
        Everything here can be changed at any time. A pause is always one click away, and closing Train at
        Home ends all of it.
      </p>
    </>
  );
}
