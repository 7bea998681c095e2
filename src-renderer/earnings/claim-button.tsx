import { heard, phrase, say } from "../../src-protocol/say.ts";
import { useState } from "react";
import { type FailureBody, failureBody } from "../../src-protocol/failure.ts";
import type { ClaimRow, DaemonState } from "../../src-protocol/state.ts";
import { getBridge } from "../bridge/bridge.ts";
import { claimable } from "./claimable.ts";
import styles from "./claim-button.module.css";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { money } from "../parts/format.ts";

type Claiming =
  | { step: "idle" }
  | { step: "asking" }
  | { step: "claimed"; claim: ClaimRow }
  | { step: "refused"; failure: FailureBody };

const CAPITAL: Record<ClaimRow["status"], string> = {
  pending: phrase("Asked"),
  accepted: phrase("Accepted, on its way"),
  paid: phrase("Paid"),
  refused: phrase("Refused"),
};

/** Claims all that is pending, says how much that is, and what came of it. */
export function ClaimButton({ earnings }: { earnings: DaemonState["earnings"] }) {
  const [claiming, setClaiming] = useState<Claiming>({ step: "idle" });
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const { isAny, rao } = claimable(earnings);
  const nothing = !isAny || !isOpen;

  const claim = async () => {
    // Stays focusable while it does nothing: a reader must find it and hear why.
    if (nothing || claiming.step === "asking") return;
    setClaiming({ step: "asking" });
    try {
      setClaiming({ step: "claimed", claim: await getBridge().call("earnings.claim", {}) });
    } catch (error) {
      setClaiming({ step: "refused", failure: failureBody(error) });
    }
  };

  return (
    <div className={styles["box"]}>
      <button
        type="button"
        className={`${controls["button"]} ${nothing ? "" : controls["primary"]}`}
        aria-disabled={nothing || claiming.step === "asking"}
        onClick={() => void claim()}
      >
        {claiming.step === "asking"
          ? say("Claiming …")
          : nothing || rao === null
            ? say("Claim")
            : say("Claim {amount}", { amount: money(rao, earnings.asset) })}
      </button>
      <output className={controls["hint"]}>
        {claiming.step === "claimed" && said(claiming.claim)}
        {claiming.step === "idle" &&
          !isAny &&
          say("Nothing to claim yet. It grows with every finished step.")}
      </output>
      {claiming.step === "refused" && <FailureNotice failure={claiming.failure} />}
    </div>
  );
}

function said({ status, amountRao, asset, receipts, detail }: ClaimRow): string {
  const text = say("{status}: {amount} for {count, plural, one {# receipt} other {# receipts}}.", {
    status: say(CAPITAL[status]),
    amount: money(amountRao, asset),
    count: receipts,
  });
  return detail === null ? text : `${text} ${heard(detail)}`;
}
