import { payoutsAnswer, reportAnswer } from "../../src-protocol/payouts.ts";
import type { HeldReport, PaidReport, PayoutsAnswer } from "../../src-protocol/payouts.ts";
import { askDesk } from "../operator/ask-desk.ts";

/** What a payer asks and tells the network that it pays for. */
export interface PayoutDesk {
  due(): Promise<PayoutsAnswer>;
  paid(report: PaidReport): Promise<void>;
  held(report: HeldReport): Promise<void>;
}

/** The operator's desk of the orchestrator with this folder. Each call rejects as `askDesk` does. */
export function deskOf(networkFolder: string): PayoutDesk {
  return {
    due: () => askDesk(networkFolder, "/payouts", payoutsAnswer),
    async paid(report) {
      await askDesk(networkFolder, "/payouts/paid", reportAnswer, report);
    },
    async held(report) {
      await askDesk(networkFolder, "/payouts/held", reportAnswer, report);
    },
  };
}
