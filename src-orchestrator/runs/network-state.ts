import type { SharedStage } from "../../src-engine/replica-memory.ts";
import type { Country } from "../../src-protocol/countries.ts";
import type {
  LinkAddress,
  NodeMessage,
  OrchestratorMessage,
  Restorable,
} from "../../src-protocol/control.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { LinkStatus } from "../../src-protocol/link-report.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { PutAside } from "../../src-protocol/operator.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import type { Checkpoint, StageCheckpoints } from "../stores/checkpoints.ts";
import type { Redone, Share } from "../replicas/replica-run.ts";
import type { Team } from "../replicas/team.ts";
import type { Candidate } from "./placement.ts";
import type { GivenUp } from "./redone.ts";

export interface SavedStep {
  readonly step: number;
  readonly digest: string;
}

/** A run and its nodes as data; `apply(event, state)` in `network.ts` makes the next one. */
export interface NetworkState {
  readonly run: RunSpec;
  /** Bytes of memory that training takes of who has the stage alone, by stage: see `needs.ts`. */
  readonly needs: readonly number[];
  /** What a stage's replicas add up, and keep of what they sent, by stage. */
  readonly sums: readonly StageSum[];
  /** Of one micro-batch, by stage. */
  readonly flops: readonly number[];
  /** Stages that hold parameters which others hold, too. */
  readonly tied: ReadonlySet<number>;
  readonly phase: "waiting" | "forming" | "training" | "finished";
  /** What replicas sign is of this network alone. */
  readonly network: string;
  /** Of one stage; 1: each stage has one holder, and who has none waits in reserve. */
  readonly mostReplicas: number;
  /** The replicas of the current generation; null: it has none, or there is no generation. */
  readonly team: Team | null;
  /** Micro-batches done again in the generations before this one, and when it began. */
  readonly redone: Redone;
  /** By the last generation with replicas, as far as it was not begun again; null: none was given up. */
  readonly givenUp: GivenUp | null;
  /** Number of the current (or last) pipeline; messages of another one are dropped. */
  readonly generation: number;
  readonly nodes: ReadonlyMap<SessionKey, NetworkNode>;
  /** Who has gone since the last finished step, oldest first, and would bring something back. */
  readonly gone: ReadonlyMap<SessionKey, GoneNode>;
  readonly stages: readonly StageState[];
  /** Nodes seen so far: gives each its place in the order of arrival. */
  readonly arrivals: number;
  /** Steps that every stage has taken. */
  readonly step: number;
  /** Where the current (or last) generation began. */
  readonly resumeStep: number;
  /** When its stages were all ready to train, by `Moment.now`. */
  readonly startedAt: number;
  /** Only steps up to this one are gone back to, until one is finished; null: any. */
  readonly ceiling: number | null;
  /** Owners who took part in a step that was then found good: doubted last, and their evaluations count. */
  readonly trusted: ReadonlySet<Ss58Address>;
  /** The newest checkpoint after which a trusted node measured no worse; it is kept until there is a newer one. */
  readonly proved: Proved | null;
  /** How often in a row the run went back to `proved`. */
  readonly returns: number;
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
  /** What broke the step that is tried again; null: nothing did since the last finished step. */
  readonly lastTrouble: { readonly text: string; readonly times: number } | null;
  /** Replicas that were put aside, the newest first. */
  readonly putAside: readonly PutAside[];
  /** No pipeline is formed before this time. */
  readonly formAfter: number;
  /** The same by the wall clock, for people, where the pause is a long one; null: it is not. */
  readonly nextTry: number | null;
  /** Until then a pipeline is formed only if it keeps (nearly) all of `knownStep`. */
  readonly settleUntil: number;
  /** And until then it is formed with strangers only if it keeps that. */
  readonly strangersAfter: number;
  /** Above `step` where the run had to go back; 0 as soon as a step has been finished after it. */
  readonly knownStep: number;
  /** What a step took before training stopped, ms; null: none was measured. */
  readonly stepMs: number | null;
  /** Since when there are computers for all stages, and none has the newest work; null: there are not, or one has. */
  readonly shortSince: number | null;
  /** What it now waits for: so many steps would be lost without it. 0: it does not wait. */
  readonly wouldLose: number;
  /** How long it does, by the wall clock, for people. */
  readonly waitsUntil: number;
  /** Its operator decides whether much of its work is given up; no: it is, when nobody brings it back in time. */
  readonly isAsking: boolean;
  /** What its operator is asked now: whether to go on from this step; null: nothing. */
  readonly wouldResume: number | null;
  /** So far its operator lets it go back, until a step is finished; null: not far. */
  readonly mayResume: number | null;
  /** When the orchestrator started. */
  readonly openedAt: number;
  readonly formingSince: number;
  /** When the nodes of a finished run are told to stop; null when they were. */
  readonly haltAt: number | null;
}

export interface NetworkNode extends Omit<Candidate, "restorable" | "isTrusted"> {
  readonly hotkey: Ss58Address;
  /** FLOPs a millisecond, measured while it worked on a stage that has replicas; null: never. */
  readonly speed: number | null;
  /** When its owner has said that it ends, by `Moment.now`; null: nothing was said. */
  readonly endsAt: number | null;
  /** Where its owner has said that it stands; null: nothing was said. */
  readonly country: Country | null;
  /** What it says it can return to, in its memory or on its disk, by stage. */
  readonly claims: ReadonlyMap<number, readonly SavedStep[]>;
  /** Steps of a stage that are on its disk, as it told them last; null: it has saved none since it joined. */
  readonly onDisk: { readonly stage: number; readonly steps: readonly number[] } | null;
  readonly linkAddress: LinkAddress;
  readonly otherAddresses: readonly LinkAddress[];
  /** Why it has no slice, as it was told last; null: it has one, or was not told. */
  readonly reserve: string | null;
  /** Its links as it told them last; null before that. */
  readonly links: LinkStatus | null;
}

export interface GoneNode {
  /** As it was then. */
  readonly node: NetworkNode;
  /** When it went, by `Moment.now`. */
  readonly at: number;
  /** The same by the wall clock, for people. */
  readonly date: number;
  /** How long a step took then; null: none was measured. */
  readonly stepMs: number | null;
}

export interface Proved {
  /** 0: the beginning. */
  readonly step: number;
  /** Held out, nats per token. */
  readonly loss: number;
}

/** See `SharedStage`. */
export type StageSum = Pick<SharedStage, "values" | "tiedValues" | "boundaryBytes">;

/** Digests (`snapshotDigest`) of a stage's saved states, by step. */
export type Saves = ReadonlyMap<number, string>;

export interface StageState {
  /** A live node, or null while the stage looks for one. */
  readonly holder: SessionKey | null;
  /** For the picture: who had it last. */
  readonly lastHolder: { readonly sessionKey: SessionKey; readonly hotkey: Ss58Address } | null;
  readonly ready: boolean;
  /** Bytes of its files that its holder has loaded in this generation, and when it last said so. */
  readonly loaded: { readonly bytes: number; readonly at: number } | null;
  readonly stepped: number;
  /** Newest step that the holder can return to. */
  readonly saved: number;
  /**
   * What was granted, trained and saved, and by which digest it is known again. SECURITY: what a node
   * says it has on its disk counts only if it is in here.
   */
  readonly saves: Saves;
  /** Of checkpoint steps among them, since the orchestrator started, the digest of the whole state (state-digest.ts). */
  readonly states: ReadonlyMap<number, string>;
  /** Steps of `saves` on the holder's own disk that this generation knows of. */
  readonly savedHere: readonly number[];
  /** Newest checkpoint that was named in this generation. */
  readonly namedHere: number | null;
  readonly checkpoints: StageCheckpoints;
}

/** Node messages that concern the run; the connection answers the others itself. */
export type RunMessage = Extract<
  NodeMessage,
  {
    type:
      | "ready"
      | "stepped"
      | "saved"
      | "checkpoint"
      | "evaluated"
      | "trouble"
      | "links"
      | "ends"
      | "country"
      | "stood"
      | "loading"
      | "ask"
      | "routed"
      | "counted"
      | "summed"
      | "lacking"
      | "adopted"
      | "measured"
      | "accuse";
  }
>;

/** When something happens. */
export interface Moment {
  /** Of a clock that nobody sets, ms: whatever waits is measured by it. */
  readonly now: number;
  /** Of the wall clock, ms since 1970: it dates what is kept, and nothing is decided by it. */
  readonly date: number;
}

export type NetworkEvent = Moment &
  (
    | {
        readonly type: "joined";
        readonly sessionKey: SessionKey;
        readonly hotkey: Ss58Address;
        /** Left out: it is paid to itself. */
        readonly owner?: Ss58Address;
        readonly linkAddress: LinkAddress;
        readonly otherAddresses?: readonly LinkAddress[];
        readonly memoryBytes: number;
        /** How long it will be there, by what its owner has said; left out: nothing was said. */
        readonly endsInMs?: number;
        readonly country?: Country;
        readonly restorable: readonly Restorable[];
      }
    /** It is there by another connection. */
    | {
        readonly type: "moved";
        readonly sessionKey: SessionKey;
        readonly linkAddress: LinkAddress;
        readonly otherAddresses: readonly LinkAddress[];
      }
    | {
        readonly type: "left";
        readonly sessionKey: SessionKey;
        readonly cause: "closed" | "silent" | "drained";
      }
    /** It has answered an `ask`. */
    | { readonly type: "alive"; readonly sessionKey: SessionKey }
    | { readonly type: "message"; readonly sessionKey: SessionKey; readonly message: RunMessage }
    /** What is done under this hotkey is paid to this owner from now on. */
    | { readonly type: "bound"; readonly hotkey: Ss58Address; readonly owner: Ss58Address }
    /** A stored checkpoint turned out to be missing or damaged. */
    | { readonly type: "checkpointLost"; readonly sha256: string }
    /** Its operator gives up what was trained after this step. */
    | { readonly type: "goBack"; readonly resumeStep: number }
    | { readonly type: "tick" }
  );

/** What has to be remembered. */
export type Row =
  | {
      readonly kind: "generation";
      readonly generation: number;
      readonly resumeStep: number;
      readonly holders: readonly { readonly sessionKey: SessionKey; readonly hotkey: Ss58Address }[];
      /** Its stages have replicas: nobody is paid for a whole stage. */
      readonly isShared?: boolean;
      readonly at: number;
    }
  /** All stages of the generation have taken the steps below `step` since it started to train. */
  | {
      readonly kind: "finished";
      readonly generation: number;
      readonly step: number;
      readonly elapsedMs: number;
    }
  /** A node beside the holders has got a stage. */
  | {
      readonly kind: "replica";
      readonly generation: number;
      readonly stage: number;
      readonly sessionKey: SessionKey;
      readonly hotkey: Ss58Address;
    }
  /** What the finished step `step` has counted for each replica, by stage. */
  | {
      readonly kind: "shares";
      readonly generation: number;
      readonly step: number;
      readonly stages: readonly (readonly Share[])[];
    }
  | { readonly kind: "saved"; readonly stage: number; readonly step: number; readonly digest: string }
  /** What came after this step belongs to a past that did not happen. */
  | { readonly kind: "forgetSaves"; readonly stage: number; readonly steps: readonly number[] }
  | { readonly kind: "proved"; readonly proved: Proved; readonly trusted: readonly Ss58Address[] }
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
  /** A sign of life is wanted of it: its connection says `alive` when there is one. */
  | { readonly type: "ask"; readonly to: SessionKey }
  | { readonly type: "store"; readonly row: Row }
  /** For the operator's log. */
  | { readonly type: "putAside"; readonly news: PutAside }
  /** The replicas of a stage agree on this of its chain. */
  | { readonly type: "link"; readonly step: number; readonly stage: number; readonly link: string };

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
  readonly saves: readonly Saves[];
  readonly trusted: readonly Ss58Address[];
  readonly proved: Proved | null;
}

/** After a start, how long to wait for the nodes that have the newest snapshots. */
export const SETTLE_MS = 3_000;
/** And how long before strangers may take a stage when work of those who were there would be lost. */
export const STRANGERS_AFTER_MS = 20_000;
/** Longer for each step that would be lost, while who could bring it is not there. */
export const WAIT_PER_STEP_MS = 1_000;
export const LONGEST_WAIT_MS = 600_000;
/** When all had gone, and come back one after another: in the evening, say. */
export const LONGEST_RETURN_MS = 3_600_000;

export function startNetwork(
  run: RunSpec,
  needs: readonly number[],
  remembered: Remembered,
  now: number,
  replicas: {
    readonly network: string;
    readonly most: number;
    /** By stage; left out: all have as much to do. */
    readonly flops?: readonly number[];
    readonly tied?: ReadonlySet<number>;
    /** By stage; left out: nothing is added up. */
    readonly sums?: readonly StageSum[];
    /** There is an operator to ask before much work is given up. */
    readonly isAsking?: boolean;
  } = { network: "", most: 1 },
): NetworkState {
  const step = remembered.lastPoint?.step ?? 0;
  const { heldOutLossAtStart } = remembered;
  const evaluatedStep = remembered.heldOut?.step ?? (heldOutLossAtStart === null ? -1 : 0);
  return {
    run,
    needs,
    sums: replicas.sums ?? needs.map(() => ({ values: 0, tiedValues: 0, boundaryBytes: 0 })),
    tied: replicas.tied ?? new Set(),
    flops: replicas.flops ?? needs.map(() => 1),
    phase: run.steps !== null && step >= run.steps && evaluatedStep >= run.steps ? "finished" : "waiting",
    network: replicas.network,
    mostReplicas: replicas.most,
    team: null,
    redone: { byLostStages: 0, byOthers: 0 },
    givenUp: null,
    generation: remembered.generation,
    nodes: new Map(),
    gone: new Map(),
    stages: Array.from({ length: run.stages }, (_, index) => ({
      holder: null,
      lastHolder: null,
      ready: false,
      loaded: null,
      stepped: 0,
      saved: 0,
      saves: remembered.saves[index] ?? new Map<number, string>(),
      states: new Map(),
      savedHere: [],
      namedHere: null,
      checkpoints: remembered.checkpoints[index] ?? new Map<number, Checkpoint>(),
    })),
    arrivals: 0,
    step,
    resumeStep: step,
    startedAt: now,
    ceiling: null,
    trusted: new Set(remembered.trusted),
    proved: remembered.proved,
    returns: 0,
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
    lastTrouble: null,
    putAside: [],
    formAfter: now,
    nextTry: null,
    settleUntil: now + SETTLE_MS,
    strangersAfter: remembered.trusted.length === 0 ? 0 : now + STRANGERS_AFTER_MS,
    knownStep: step,
    stepMs: null,
    shortSince: null,
    wouldLose: 0,
    waitsUntil: 0,
    isAsking: replicas.isAsking ?? false,
    wouldResume: null,
    mayResume: null,
    openedAt: now,
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

/** Everybody of the generation: holders and others. */
export function teamMembers({ team, stages }: NetworkState): Map<SessionKey, number> {
  const members = new Map<SessionKey, number>();
  for (const [index, { holder }] of stages.entries()) if (holder !== null) members.set(holder, index);
  for (const [key, { stage }] of team?.extras ?? []) members.set(key, stage);
  for (const [key, { stage }] of team?.run?.members ?? []) members.set(key, stage);
  return members;
}

export function memberStageOf(state: NetworkState, key: SessionKey): number | null {
  return stageOf(state, key) ?? teamMembers(state).get(key) ?? null;
}

/** Takes the node's stage from it; what it saved there stays on its disk. */
export function vacate(state: NetworkState, key: SessionKey): NetworkState {
  const index = stageOf(state, key);
  return index === null ? state : withStage(bankSaves(state, index), index, { holder: null, ready: false });
}

/** What the holder of a stage saved in this generation becomes what it has on its disk. */
export function bankSaves(state: NetworkState, index: number): NetworkState {
  const stage = state.stages[index];
  if (stage === undefined || stage.holder === null || stage.savedHere.length === 0) return state;
  const known = new Map<number, string>();
  for (const step of stage.savedHere) known.set(step, stage.saves.get(step) ?? "");
  for (const { step, digest } of state.nodes.get(stage.holder)?.claims.get(index) ?? [])
    if (!known.has(step) && stage.saves.get(step) === digest) known.set(step, digest);
  const claims = [...known].map(([step, digest]) => ({ step, digest }));
  return withStage(
    withClaims(state, stage.holder, index, () => claims),
    index,
    { savedHere: [] },
  );
}

export function withStage(state: NetworkState, index: number, change: Partial<StageState>): NetworkState {
  return {
    ...state,
    stages: state.stages.map((stage, i) => (i === index ? { ...stage, ...change } : stage)),
  };
}

export function withClaims(
  state: NetworkState,
  key: SessionKey,
  stage: number,
  change: (claims: readonly SavedStep[]) => readonly SavedStep[],
): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined) return state;
  const claims = new Map(node.claims).set(stage, change(node.claims.get(stage) ?? []));
  return { ...state, nodes: new Map(state.nodes).set(key, { ...node, claims }) };
}

/** What each node can really bring back, for placement. */
export function candidates(state: NetworkState): ReadonlyMap<SessionKey, Candidate> {
  const { nodes, stages, trusted } = state;
  const allowed = (step: number): boolean => step <= (state.ceiling ?? step);
  const found = new Map<SessionKey, Candidate>();
  for (const [key, node] of nodes) {
    const restorable = new Map<number, readonly number[]>();
    for (const [index, { holder, saves, savedHere }] of stages.entries()) {
      const known = (node.claims.get(index) ?? []).filter(({ step, digest }) => saves.get(step) === digest);
      const steps = new Set([...(holder === key ? savedHere : []), ...known.map(({ step }) => step)]);
      if (steps.size > 0 || node.claims.has(index)) restorable.set(index, [...steps].filter(allowed));
    }
    const { sessionKey, owner, failures, arrival, memoryBytes, reach } = node;
    found.set(key, {
      sessionKey,
      owner,
      failures,
      arrival,
      memoryBytes,
      reach,
      restorable,
      isTrusted: trusted.has(node.hotkey),
    });
  }
  return found;
}
