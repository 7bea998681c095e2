import type { Ss58Address } from "../src-protocol/keys.ts";
import type { DaemonState } from "../src-protocol/state.ts";

export interface StateBeginning extends Pick<DaemonState, "version" | "startedAt" | "dataFolder"> {
  readonly hotkey: Ss58Address;
  readonly policy: Pick<DaemonState, "decision" | "rules" | "override">;
  readonly neighbours: number;
  readonly chain: DaemonState["chain"];
}

/** What is known before anything has answered. */
export function initialState(beginning: StateBeginning): DaemonState {
  const { version, startedAt, dataFolder, hotkey, policy, neighbours, chain } = beginning;
  return {
    version,
    startedAt,
    dataFolder,
    decision: policy.decision,
    rules: policy.rules,
    override: policy.override,
    node: { phase: "starting", detail: "Starting.", stage: null, hotkey },
    network: { kind: "embedded", url: null, connected: false, neighbours },
    run: null,
    earnings: {
      hotkey,
      payoutColdkey: hotkey,
      asset: "test",
      accruedRao: "0",
      claimedRao: "0",
      receipts: 0,
      neighboursAccruedRao: "0",
    },
    chain,
    activity: [],
    problem: null,
  };
}

/** Before the embedded network has said which block it is at. */
export const EMBEDDED_CHAIN: DaemonState["chain"] = {
  source: "embedded",
  url: null,
  connected: false,
  block: 0,
  balanceRao: null,
  detail: "The embedded network keeps its own clock, one block every 12 seconds.",
};
