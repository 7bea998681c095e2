import type { LinkAddress, NodeMessage, OrchestratorMessage, Restorable } from "../src-protocol/control.ts";
import type { SessionKey, Ss58Address } from "../src-protocol/keys.ts";
import type { LinkStatus } from "../src-protocol/link-report.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { HistoryPoint } from "../src-protocol/state.ts";
import type { Checkpoint, StageCheckpoints } from "./checkpoints.ts";
import type { Candidate } from "./placement.ts";

/** A run and its nodes as data; `apply(event, state)` in `network.ts` makes the next one. */
export interface NetworkState {
  readonly run: RunSpec;
  /** Bytes of memory that training takes, by stage. */
  readonly needs: readonly number[];
  readonly phase: "waiting" | "forming" | "training" | "finished";
  /** Number of the current (or last) pipeline; messages of another one are dropped. */
  readonly generation: number;
  readonly nodes: ReadonlyMap<SessionKey, NetworkNode>;
  readonly stages: readonly StageState[];
  /** Nodes seen so far: gives each its place in the order of arrival. */
  readonly arrivals: number;
  /** Steps that every stage has taken. */
  readonly step: number;
  /** All steps below this have been granted in this generation. */
  readonly nextGrant: number;
  /** The tail's loss of steps that some stage has not taken yet. */
  readonly losses: ReadonlyMap<number, number>;
  readonly lastPoint: HistoryPoint | null;
  readonly loss: number | null;
  readonly heldOutLoss: number | null;
  /** With the parameters that the run began with. */
  readonly heldOutLossAtStart: number | null;
  /** Highest step with a held-out loss; -1 before the first. */
  readonly evaluatedStep: number;
  /** The last few finished steps of this generation, oldest first. */
  readonly pace: readonly { readonly step: number; readonly at: number }[];
  readonly recoveries: number;
  readonly lastRecoveryMs: number | null;
  /** When training stopped because a node was lost; null when it runs or was left on purpose. */
  readonly interruptedAt: number | null;
  /** Generations in a row that finished no step: they are formed more and more slowly. */
  readonly fruitless: number;
  /** No pipeline is formed before this time. */
  readonly formAfter: number;
  /** Until then a pipeline is formed only if it keeps (nearly) all of `knownStep`. */
  readonly settleUntil: number;
  readonly knownStep: number;
  readonly formingSince: number;
  /** When the nodes of a finished run are told to stop; null when they were. */
  readonly haltAt: number | null;
}

export interface NetworkNode extends Candidate {
  readonly hotkey: Ss58Address;
  readonly linkAddress: LinkAddress;
  readonly otherAddresses: readonly LinkAddress[];
  /** Its links as it told them last; null before that. */
  readonly links: LinkStatus | null;
}

export interface StageState {
  /** A live node, or null while the stage looks for one. */
  readonly holder: SessionKey | null;
  /** For the picture: who had it last. */
  readonly lastHolder: { readonly sessionKey: SessionKey; readonly hotkey: Ss58Address } | null;
  readonly ready: boolean;
  readonly stepped: number;
  /** Newest step that the holder can return to. */
  readonly saved: number;
  readonly checkpoints: StageCheckpoints;
}

/** Node messages that concern the run; the connection answers the others itself. */
export type RunMessage = Extract<
  NodeMessage,
  { type: "ready" | "stepped" | "saved" | "checkpoint" | "evaluated" | "trouble" | "links" }
>;

export type NetworkEvent = { readonly now: number } & (
  | {
      readonly type: "joined";
      readonly sessionKey: SessionKey;
      readonly hotkey: Ss58Address;
      readonly linkAddress: LinkAddress;
      readonly otherAddresses?: readonly LinkAddress[];
      readonly memoryBytes: number;
      readonly restorable: readonly Restorable[];
    }
  | {
      readonly type: "left";
      readonly sessionKey: SessionKey;
      readonly cause: "closed" | "silent" | "drained";
    }
  | { readonly type: "message"; readonly sessionKey: SessionKey; readonly message: RunMessage }
  /** A stored checkpoint turned out to be missing or damaged. */
  | { readonly type: "checkpointLost"; readonly sha256: string }
  | { readonly type: "tick" }
);

/** What has to be remembered. */
export type Row =
  | {
      readonly kind: "generation";
      readonly generation: number;
      readonly resumeStep: number;
      readonly holders: readonly { readonly sessionKey: SessionKey; readonly hotkey: Ss58Address }[];
      readonly at: number;
    }
  | { readonly kind: "granted"; readonly generation: number; readonly step: number }
  | { readonly kind: "point"; readonly point: HistoryPoint }
  | { readonly kind: "heldOut"; readonly step: number; readonly loss: number }
  | ({ readonly kind: "checkpoint"; readonly stage: number; readonly step: number } & Checkpoint)
  | {
      readonly kind: "forgetCheckpoint";
      readonly stage: number;
      readonly step: number;
      readonly sha256: string;
    }
  | { readonly kind: "recovery"; readonly recoveries: number; readonly lastRecoveryMs: number };

export type Effect =
  | { readonly type: "send"; readonly to: SessionKey; readonly message: OrchestratorMessage }
  | { readonly type: "store"; readonly row: Row };

/** What an orchestrator finds in its store when it starts. */
export interface Remembered {
  /** Above every generation that was ever used. */
  readonly generation: number;
  readonly lastPoint: HistoryPoint | null;
  readonly heldOut: { readonly step: number; readonly loss: number } | null;
  readonly heldOutLossAtStart: number | null;
  readonly recoveries: number;
  readonly lastRecoveryMs: number | null;
  readonly checkpoints: readonly StageCheckpoints[];
}

/** After a start, how long to wait for the nodes that have the newest snapshots. */
export const SETTLE_MS = 3_000;

export function startNetwork(
  run: RunSpec,
  needs: readonly number[],
  remembered: Remembered,
  now: number,
): NetworkState {
  const step = remembered.lastPoint?.step ?? 0;
  const { heldOutLossAtStart } = remembered;
  const evaluatedStep = remembered.heldOut?.step ?? (heldOutLossAtStart === null ? -1 : 0);
  return {
    run,
    needs,
    phase: run.steps !== null && step >= run.steps && evaluatedStep >= run.steps ? "finished" : "waiting",
    generation: remembered.generation,
    nodes: new Map(),
    stages: Array.from({ length: run.stages }, (_, index) => ({
      holder: null,
      lastHolder: null,
      ready: false,
      stepped: 0,
      saved: 0,
      checkpoints: remembered.checkpoints[index] ?? new Map<number, Checkpoint>(),
    })),
    arrivals: 0,
    step,
    nextGrant: 0,
    losses: new Map(),
    lastPoint: remembered.lastPoint,
    loss: remembered.lastPoint?.loss ?? null,
    heldOutLoss: remembered.heldOut?.loss ?? heldOutLossAtStart,
    heldOutLossAtStart,
    evaluatedStep,
    pace: [],
    recoveries: remembered.recoveries,
    lastRecoveryMs: remembered.lastRecoveryMs,
    interruptedAt: null,
    fruitless: 0,
    formAfter: now,
    settleUntil: now + SETTLE_MS,
    knownStep: step,
    formingSince: now,
    haltAt: null,
  };
}

export function tokensPerStep(run: RunSpec): number {
  return run.batch * run.sequence * run.microBatches;
}

export function stageOf(state: NetworkState, key: SessionKey): number | null {
  const index = state.stages.findIndex((stage) => stage.holder === key);
  return index === -1 ? null : index;
}

export function vacate(state: NetworkState, key: SessionKey): NetworkState {
  const index = stageOf(state, key);
  return index === null ? state : withStage(state, index, { holder: null, ready: false });
}

export function withStage(state: NetworkState, index: number, change: Partial<StageState>): NetworkState {
  return {
    ...state,
    stages: state.stages.map((stage, i) => (i === index ? { ...stage, ...change } : stage)),
  };
}

export function withSteps(
  state: NetworkState,
  key: SessionKey,
  stage: number,
  change: (steps: readonly number[]) => readonly number[],
): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined) return state;
  const restorable = new Map(node.restorable).set(stage, change(node.restorable.get(stage) ?? []));
  return { ...state, nodes: new Map(state.nodes).set(key, { ...node, restorable }) };
}
