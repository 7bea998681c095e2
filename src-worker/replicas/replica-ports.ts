import type { SessionKey } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import type { Activations, StageInfo } from "../compute/compute-call.ts";
import type { Compute } from "../compute/compute.ts";
import type { Report } from "../control/control.ts";
import type { Link } from "../links/index.ts";
import type { SavedSnapshotState, TakenStep } from "../pipeline/pipeline-runner.ts";
import type { Samples } from "../stage/stage-samples.ts";
import type { RestoredSum, SumName } from "./kept-sum.ts";
import type { ShareReceipts } from "./share-receipts.ts";

/** Links to the replicas of this stage and of its neighbours; see `replica-web.ts`. */
export interface Web {
  link(key: SessionKey): Link | null;
  /** The peer does not answer: whatever can go to another one goes there. */
  isQuiet(key: SessionKey): boolean;
}

export interface ReplicaPorts {
  readonly spec: RunSpec;
  readonly stage: StageInfo;
  readonly generation: number;
  readonly network: string;
  /** The step whose state was loaded; null: it comes from another replica. */
  readonly step: number | null;
  /** Of the stage's chain there; null where the state comes from another replica. */
  readonly link: string | null;
  readonly signer: SessionSigner;
  /** They outlive this work. */
  readonly receipts: ShareReceipts;
  /** Where the whole sum of a step outlives the process; null: nowhere. */
  readonly keepSum: ((name: Omit<SumName, "key">, parts: readonly Activations[]) => Promise<void>) | null;
  /** Of the step whose state was loaded, the stage's whole sum, which was kept there; null: there was none. */
  readonly sum: RestoredSum | null;
  readonly web: Web;
  readonly compute: Pick<Compute, "call"> & Partial<Pick<Compute, "download">>;
  readonly samples: Samples;
  readonly memory: SharedArrayBuffer;
  /** Puts the snapshot of `step` on disk, where that is due; the parameters stand still until it resolves. */
  readonly save: (step: TakenStep) => Promise<SavedSnapshotState>;
  /** The memory holds another replica's state of `step` now, whose chain is at `link`. */
  readonly adopted: (step: number, link: string, leaves: Uint8Array) => void;
  readonly overwriting: () => void;
  /** Others do its part of the step, for the reason that `code` names; `adopted` ends it. */
  readonly putAside: (code: string) => void;
  /** Its end is near, and others of its stage go on without it; or that has changed again. */
  readonly leaving: (isLeaving: boolean) => void;
  /** Of the state that was saved, or adopted, last (state-digest.ts). */
  readonly leaves: () => Uint8Array | null;
  readonly report: (report: Report) => void;
  readonly now: () => number;
}
