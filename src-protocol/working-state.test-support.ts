import { ALWAYS } from "./policy.ts";
import { DEFAULT_MODEL } from "./model.ts";
import { type DaemonState, daemonState } from "./state.ts";

const MINE = "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX";
const OTHERS = [
  "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
  MINE,
  "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
];

/** A daemon in good order: slice 2 of 3 is mine and trains. */
export function workingState(): DaemonState {
  return daemonState.parse({
    version: "0.1.0",
    startedAt: 1_000,
    dataFolder: "/home/someone/.local/share/train-at-home",
    decision: { action: "run", reasons: ["always-allowed"], nextChange: null },
    rules: ALWAYS,
    override: null,
    policy: {
      zone: "Europe/Berlin",
      limits: { ...ALWAYS.work, ...ALWAYS.limits },
      missing: [],
      awake: { wanted: false, held: null, text: "" },
    },
    node: { phase: "training", detail: "Training.", stage: 1, loading: null, hotkey: MINE },
    traffic: { limits: ALWAYS.limits, uploadMbit: 0, downloadMbit: 0 },
    network: {
      kind: "embedded",
      id: null,
      name: "This computer",
      operator: "",
      url: null,
      connected: true,
      away: null,
      neighbours: 2,
      links: null,
      known: [],
      offer: null,
    },
    run: {
      runId: "run-1",
      name: "A run",
      phase: "training",
      detail: "Training.",
      model: DEFAULT_MODEL,
      parameterCount: 2_541_312,
      corpus: "Speeches",
      step: 20,
      steps: null,
      tokensPerStep: 3072,
      loss: 3.2,
      heldOutLoss: 3.3,
      heldOutLossAtStart: 5.5,
      tokensPerSecond: 2400,
      recoveries: 0,
      lastRecoveryMs: null,
      stages: OTHERS.map((hotkey, index) => ({
        index,
        parameterCount: 847_104,
        holder: { hotkey, mine: index === 1, neighbour: index !== 1, connected: true },
      })),
    },
    earnings: {
      hotkey: MINE,
      payoutColdkey: MINE,
      asset: "test",
      accruedRao: "2134567",
      claimedRao: "0",
      paidRao: "0",
      receipts: 120,
      asOf: 1_800_000_000_000,
      nextClaimAt: null,
      later: null,
      former: [],
      neighboursAccruedRao: "0",
    },
    chain: { source: "embedded", url: null, connected: true, block: 7, balanceRao: null, detail: "" },
    activity: [],
    problem: null,
  });
}
