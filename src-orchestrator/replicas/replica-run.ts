import type { OrchestratorMessage } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { RunMessage } from "../runs/network-state.ts";
import type { StepBook } from "../routing/step-book.ts";
import type { ByMicroBatch } from "./by-micro-batch.ts";
import type { Life } from "./liveness.ts";
import type { Losses } from "./losses.ts";

/**
 * Training with any number of replicas of each stage, as data; `replica-machine.ts` makes the next one. It
 * lives as long as a generation: what ends it is a stage that has no replica left.
 */
export interface ReplicaRun {
  readonly run: Pick<RunSpec, "microBatches" | "evaluationMicroBatches" | "evaluateEverySteps" | "steps">;
  readonly stages: number;
  /** Stages that hold parameters which others hold, too. */
  readonly tied: ReadonlySet<number>;
  /** Names the generation and the network in what replicas sign. */
  readonly signs: { readonly network: string; readonly runId: string; readonly generation: number };
  readonly members: ReadonlyMap<SessionKey, Member>;
  /** The parameters are those of this step. */
  readonly step: number;
  readonly book: StepBook;
  /** Heads that wait for a micro-batch. */
  readonly asking: ReadonlySet<SessionKey>;
  readonly evaluation: Evaluation | null;
  /** Highest step whose held-out loss is known. */
  readonly evaluatedStep: number;
  /** What the tails have told of the step. */
  readonly losses: Losses;
  /** Where each micro-batch is, since when, and how often it was late there. */
  readonly hops: ByMicroBatch<Hop>;
  /** Whom each has accused in this step on nothing but its word. */
  readonly accused: ReadonlyMap<SessionKey, ReadonlySet<SessionKey>>;
  /** How often the sums of this step were asked for; it counts on through the steps. */
  readonly round: number;
  /** What each has signed of its sum in this round. */
  readonly signed: ReadonlyMap<SessionKey, string>;
  /** How the sums of each stage are added up in this round. */
  readonly orders: readonly SumOrder[];
  /** What each has signed of a shard that it added up in this round, by stage, shard and key. */
  readonly totals: ReadonlyMap<string, string>;
  /** By stage, where two came to different totals of a shard: everybody adds everything, and who was wrong is named. */
  readonly disputed: ReadonlyMap<number, Dispute>;
  /** What each has told that its stage gives of such parameters in this round, by its digest. */
  readonly tiedSums: ReadonlyMap<SessionKey, string>;
  /** What its live replicas agree on of that, by stage, when they are told to take the step; who comes later is told the same. */
  readonly ties: readonly { readonly stage: number; readonly sha256: string }[];
  /** Whose part of the sum each says it waits for, in this round. */
  readonly lacking: ReadonlyMap<SessionKey, readonly SessionKey[]>;
  /** The commit waits for replicas that take over the state just now. */
  readonly isHeld: boolean;
  /** When the part of the step began that all have to end: the sums, or the results. */
  readonly phaseSince: number;
  /** The last stage that lost a replica, until it works again; null: nothing is to be caught up. */
  readonly lost: { readonly stage: number; readonly at: number } | null;
  /** Micro-batches done again since the beginning: by stages that lost a replica, and by anybody else. */
  readonly redone: Redone;
  /** What was measured of those who work, over all steps. */
  readonly paces: ReadonlyMap<SessionKey, Pace>;
  readonly lives: ReadonlyMap<SessionKey, Life>;
  /** They were asked for a sign of life and gave none: they get nothing until they do. */
  readonly silent: ReadonlySet<SessionKey>;
  /** When their owners end their work; who is not in here has said nothing. */
  readonly ends: ReadonlyMap<SessionKey, number>;
  /** Of these the end is near; and these get nothing new because of it. See `leaving.ts`. */
  readonly nearEnd: ReadonlySet<SessionKey>;
  readonly leaving: ReadonlySet<SessionKey>;
  /** When the step began. */
  readonly openedAt: number;
  /** Just now, and nobody has been given anything of it. */
  readonly isUngiven: boolean;
  /** Usual times, ms: of a hop, of the end of a step, and of all of it. */
  readonly usual: {
    readonly hop: number | null;
    readonly phase: number | null;
    readonly step: number | null;
  };
  /** What the last agreed state of each stage is known by. */
  readonly agreed: readonly (Agreed | null)[];
  /** What the replicas told of their results. */
  readonly told: ReadonlyMap<SessionKey, Omit<Agreed, "step">>;
}

export interface SumOrder {
  readonly live: readonly SessionKey[];
  readonly shards: number;
  readonly isRecount: boolean;
}

export interface Dispute {
  /** Among these: with others the shards are others, too. */
  readonly live: readonly SessionKey[];
  readonly totals: ReadonlyMap<string, string>;
}

export interface Redone {
  readonly byLostStages: number;
  readonly byOthers: number;
}

export interface Agreed {
  readonly step: number;
  /** `snapshotDigest`: by it a node is believed when it comes back. */
  readonly digest: string;
  /** Of the stage's chain. */
  readonly link: string;
  /** Of the whole state: by it whoever takes it over knows it again. */
  readonly stateSha256: string;
}

/** Of one step, what a replica has counted. */
export interface Share {
  readonly replica: SessionKey;
  readonly microBatches: readonly number[];
}

export interface Evaluation {
  /** Micro-batches of it. */
  readonly count: number;
  /** To be given to a head. */
  readonly waiting: readonly number[];
  readonly losses: ReadonlyMap<number, number>;
  readonly since: number;
}

/** Where a micro-batch is: who has to do something with it next. */
export interface Hop {
  readonly by: SessionKey;
  /** Of a gradient that it waits for: who should have sent it; null: it has what it needs. */
  readonly after: SessionKey | null;
  readonly since: number;
  readonly late: number;
}

/** How fast a replica is, by the orchestrator's clock. */
export interface Pace {
  /** Average of a pass, there or back, the newest ones count most; null before the first that counts. */
  readonly passMs: number | null;
  readonly passes: number;
  /** When it did the last one. */
  readonly lastAt: number;
}

export interface Member {
  readonly stage: number;
  /** `loading` its graphs; `warm`: it could take over the state; `adopting` it; `live`: it works. */
  readonly phase: "loading" | "warm" | "adopting" | "live";
  /** Fenced in a row. */
  readonly faults: number;
  /** Not given the state before; what it did last must not be repeated at once. */
  readonly notBefore: number;
  /** Since when it takes over the state, or last got some of it. */
  readonly since: number;
  /** Who was named first to give it that, the last time. */
  readonly giver?: SessionKey;
  /** It was told to load the state of this step from its own disk, and has part in that step then, if it can. */
  readonly resumes?: number;
}

export type ReplicaMessage = Extract<
  RunMessage,
  {
    type:
      | "ask"
      | "routed"
      | "counted"
      | "summed"
      | "lacking"
      | "adopted"
      | "measured"
      | "accuse"
      | "saved"
      | "loading";
  }
>;

export type ReplicaEvent = { readonly now: number } & (
  | { readonly type: "begin" }
  /** `resumes`: see `Member`. */
  | {
      readonly type: "added";
      readonly key: SessionKey;
      readonly stage: number;
      readonly resumes?: number;
    }
  /**
   * Its graphs are loaded. `step`: of the state that it has; left out: it has none. `sumRound`: in which its stage's
   * whole sum of that step was added up, which it has too; left out: it has not.
   */
  | {
      readonly type: "warm";
      readonly key: SessionKey;
      readonly step?: number;
      readonly sumRound?: number;
    }
  | { readonly type: "gone"; readonly key: SessionKey; readonly code: string }
  /** `at`: by the same clock as `now`; null: no end is known. */
  | { readonly type: "ends"; readonly key: SessionKey; readonly at: number | null }
  /** It was stopped itself: see `liveness.ts`. */
  | { readonly type: "stood"; readonly key: SessionKey }
  /** It has answered `ask`, or is there by another connection. */
  | { readonly type: "alive"; readonly key: SessionKey }
  | { readonly type: "message"; readonly key: SessionKey; readonly message: ReplicaMessage }
  /** What there is to do in the step that was just opened is given to who has asked for it. */
  | { readonly type: "give" }
  | { readonly type: "tick" }
);

export type ReplicaEffect =
  | { readonly type: "send"; readonly to: SessionKey; readonly message: OrchestratorMessage }
  /** It is to give a sign of life. */
  | { readonly type: "ask"; readonly to: SessionKey }
  /** Who is there, or live, has changed. */
  | { readonly type: "members" }
  | { readonly type: "fenced"; readonly key: SessionKey; readonly stage: number; readonly code: string }
  /** The stage's state of `step` is on the disks of these. */
  | {
      readonly type: "closed";
      readonly stage: number;
      readonly agreed: Agreed;
      readonly by: readonly SessionKey[];
    }
  /** `shares`: what the step that led there has counted for each replica, by stage. */
  | {
      readonly type: "stepped";
      readonly step: number;
      readonly loss: number | null;
      readonly shares: readonly (readonly Share[])[];
    }
  /** A stage that had lost a replica works again, so long after the loss. */
  | { readonly type: "moving"; readonly ms: number }
  | { readonly type: "evaluated"; readonly step: number; readonly loss: number }
  /** Nobody holds the stage any more, or nobody knows which of its states is right. */
  | { readonly type: "ended"; readonly stage: number; readonly code: string };

export interface ReplicaOutcome {
  readonly run: ReplicaRun;
  readonly effects: readonly ReplicaEffect[];
}
