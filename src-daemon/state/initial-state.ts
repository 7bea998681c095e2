import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { ownTimeZone } from "../../src-protocol/zone.ts";

export interface StateBeginning extends Pick<DaemonState, "version" | "startedAt" | "dataFolder"> {
  readonly hotkey: Ss58Address;
  readonly policy: Pick<DaemonState, "decision" | "rules" | "override"> &
    Partial<Pick<DaemonState, "policy">>;
  readonly network: DaemonState["network"];
  readonly chain: DaemonState["chain"];
}

/** What is known before anything has answered. */
export function initialState(beginning: StateBeginning): DaemonState {
  const { version, startedAt, dataFolder, hotkey, policy, network, chain } = beginning;
  return {
    version,
    startedAt,
    dataFolder,
    decision: policy.decision,
    rules: policy.rules,
    override: policy.override,
    policy: policy.policy ?? quietPolicy(policy.rules),
    node: { phase: "starting", detail: "Starting.", stage: null, loading: null, hotkey },
    traffic: { limits: policy.rules.limits, uploadMbit: 0, downloadMbit: 0 },
    network,
    run: null,
    earnings: nothingEarned(hotkey, "test"),
    chain,
    activity: [],
    problem: null,
  };
}

/** Before anything was found out: what the rules say for always. */
export function quietPolicy({ timeZone, work, limits }: DaemonState["rules"]): DaemonState["policy"] {
  return {
    zone: timeZone ?? ownTimeZone(),
    limits: { ...work, ...limits },
    missing: [],
    awake: { wanted: false, held: null, text: "" },
    sandbox: "",
  };
}

/** Before a network has said what was earned there. */
export function nothingEarned(
  hotkey: Ss58Address,
  asset: DaemonState["earnings"]["asset"],
): DaemonState["earnings"] {
  return {
    hotkey,
    payoutColdkey: hotkey,
    asset,
    accruedRao: "0",
    claimedRao: "0",
    paidRao: "0",
    receipts: 0,
    neighboursAccruedRao: "0",
    asOf: null,
    nextClaimAt: null,
    later: null,
    former: [],
  };
}

/** The network on this computer alone, with so many neighbour processes. */
export function embeddedNetwork(
  neighbours: number,
  known: DaemonState["network"]["known"],
): DaemonState["network"] {
  return {
    kind: "embedded",
    id: null,
    name: "This computer",
    operator: "",
    url: null,
    connected: false,
    away: null,
    neighbours,
    links: null,
    known,
    offer: null,
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
