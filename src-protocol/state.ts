import { z } from "zod";
import { nodePhase } from "./node-phase.ts";
import { failureSchema } from "./failure.ts";
import { askedOperator } from "./go-back.ts";
import { sha256Hex, ss58Address } from "./keys.ts";
import { trafficState } from "./line-limits.ts";
import { loadingProgress } from "./loading.ts";
import { modelSpec } from "./model.ts";
import { networkState } from "./networks.ts";
import { decision, override, policyState, rules } from "./policy.ts";
import { raoText } from "./units.ts";

/** One tree holds all that clients of the daemon see: they get a snapshot, then patches. JSON values only. */

/** What this computer's own worker is doing. `paused` follows the decision; the rest is progress. */
export const nodeState = z.strictObject({
  phase: nodePhase,
  /** One sentence for a person. */
  detail: z.string(),
  /** 0-based; null while none is assigned. */
  stage: z.int().nonnegative().nullable(),
  /** While files of a stage come. */
  loading: loadingProgress.nullable(),
  /** Why its work of just now is not paid, or only in part, in sentences; absent: it is. */
  unpaid: z.string().optional(),
  /** What of its receipts the network has refused since it paid one, and why, in a sentence; absent: nothing. */
  refused: z.string().optional(),
  hotkey: ss58Address,
});

export const stageHolder = z.strictObject({
  hotkey: ss58Address,
  mine: z.boolean(),
  /** A neighbour that runs on this computer too. */
  neighbour: z.boolean(),
  connected: z.boolean(),
});

export const stageReplicas = z.strictObject({
  live: z.int().nonnegative(),
  loading: z.int().nonnegative(),
});

/**
 * Micro-batches done again after losses since the orchestrator started: by the stages that lost a replica, and by
 * anybody else, as when a stage has lost all of its own and the others do the step again with it.
 */
export const redoneWork = z.strictObject({
  byLostStages: z.int().nonnegative(),
  byOthers: z.int().nonnegative(),
});

export const runState = z.strictObject({
  runId: z.string(),
  name: z.string(),
  phase: z.enum(["waiting", "forming", "training", "finished"]),
  /** Why it is in this phase, for a person: "slice 2 is looking for a home". */
  detail: z.string(),
  model: modelSpec,
  parameterCount: z.int().nonnegative(),
  corpus: z.string(),
  step: z.int().nonnegative(),
  steps: z.int().positive().nullable(),
  tokensPerStep: z.int().positive(),
  /** Nats per token. */
  loss: z.number().nullable(),
  heldOutLoss: z.number().nullable(),
  /** With the parameters that the run began with. */
  heldOutLossAtStart: z.number().nullable(),
  /** Over the last few steps; null while not training. */
  tokensPerSecond: z.number().nullable(),
  recoveries: z.int().nonnegative(),
  /** How long the last interruption lasted, from the loss of a node to the next finished step; with replicas, to the next work of its stage. */
  lastRecoveryMs: z.number().nullable(),
  stages: z.array(
    z.strictObject({
      index: z.int().nonnegative(),
      parameterCount: z.int().nonnegative(),
      holder: stageHolder.nullable(),
      replicas: stageReplicas.optional(),
    }),
  ),
  redone: redoneWork.optional(),
  /** The newest step of which every stage's state is on a disk: it goes on from there if everything ends at once. */
  keptStep: z.int().nonnegative().optional(),
});
export type RunState = z.infer<typeof runState>;

export const earningsState = z.strictObject({
  hotkey: ss58Address,
  payoutColdkey: ss58Address,
  /** `test`: units of the embedded network, worth nothing. */
  asset: z.enum(["test", "alpha", "tao"]),
  /** Credited from counter-signed receipts, not yet claimed. */
  accruedRao: raoText,
  /** Claimed and accepted: paid, or on its way. */
  claimedRao: raoText,
  /** What of it has arrived. */
  paidRao: raoText,
  receipts: z.int().nonnegative(),
  /** Receipts that this computer's neighbours earned, for the whole embedded network's picture. */
  neighboursAccruedRao: raoText,
  /** When the network said so (Unix milliseconds); null: nothing is known yet, and the zeros mean nothing. */
  asOf: z.int().nonnegative().nullable(),
  /** When the next claim is made by itself; null: not known. */
  nextClaimAt: z.int().nonnegative().nullable(),
  /** Of it, what cannot be claimed yet, with the block from which on it can; null: all of it can. */
  later: z.strictObject({ amountRao: raoText, fromBlock: z.int().nonnegative() }).nullable(),
  /** What hotkeys that this computer worked with before have left to claim. */
  former: z.array(
    z.strictObject({
      hotkey: ss58Address,
      asset: z.enum(["test", "alpha", "tao"]),
      accruedRao: raoText,
      /** Its file is where it was and opens: a claim takes this along. */
      isHere: z.boolean(),
      asOf: z.int().nonnegative(),
    }),
  ),
});

export const chainState = z.strictObject({
  /** `embedded`: the network keeps its own 12-second blocks. */
  source: z.enum(["embedded", "chain"]),
  url: z.string().nullable(),
  connected: z.boolean(),
  block: z.int().nonnegative(),
  /** Free balance of the payout address on the chain; null without a chain. */
  balanceRao: raoText.nullable(),
  detail: z.string(),
});

/**
 * What an entry of the activity is about: work by the rules, work by somebody's `hand` or agent, the network,
 * `money` with the keys that it is paid to, and what of this `computer` and its processes is worth a word.
 */
export const activityKind = z.enum(["work", "hand", "network", "money", "computer"]);
export type ActivityKind = z.infer<typeof activityKind>;

export const activityEntry = z.strictObject({
  at: z.int().nonnegative(),
  kind: activityKind,
  text: z.string(),
});

export const daemonState = z.strictObject({
  version: z.string(),
  startedAt: z.int().nonnegative(),
  dataFolder: z.string(),
  decision,
  rules,
  override: override.nullable(),
  policy: policyState,
  node: nodeState,
  /** What all workers of this computer may use of its line, and what they did. */
  traffic: trafficState,
  network: networkState,
  run: runState.nullable(),
  /** What the network that is served from this data folder asks its operator; absent: nothing. */
  asked: askedOperator.optional(),
  earnings: earningsState,
  chain: chainState,
  /** Newest first, at most 50. */
  activity: z.array(activityEntry),
  /** The last thing that went wrong and is still so. */
  problem: failureSchema.nullable(),
});
export type DaemonState = z.infer<typeof daemonState>;

/** One finished step of the run. */
export const historyPoint = z.strictObject({
  step: z.int().nonnegative(),
  at: z.int().nonnegative(),
  loss: z.number(),
  heldOutLoss: z.number().nullable(),
  tokensPerSecond: z.number().nullable(),
});
export type HistoryPoint = z.infer<typeof historyPoint>;

export const receiptRow = z.strictObject({
  id: sha256Hex,
  runId: z.string(),
  stage: z.int().nonnegative(),
  step: z.int().nonnegative(),
  microBatches: z.int().positive(),
  tokens: z.int().positive(),
  amountRao: raoText,
  creditedAt: z.int().nonnegative(),
  /** The claim that asked for it; null: not claimed yet. */
  claimId: z.string().nullable(),
});
export type ReceiptRow = z.infer<typeof receiptRow>;

export const claimPayment = z.strictObject({
  block: z.int().nonnegative(),
  /** Null: of a network that keeps its own blocks. */
  blockHash: z.string().nullable(),
  extrinsic: z.string(),
  /** What has arrived: fees and slippage are the rest. */
  creditedRao: raoText,
  at: z.int().nonnegative(),
});
export type ClaimPayment = z.infer<typeof claimPayment>;

export const claimRow = z.strictObject({
  claimId: z.string(),
  amountRao: raoText,
  asset: z.enum(["test", "alpha", "tao"]),
  payoutColdkey: ss58Address,
  /** 0 while it is pending and when it is refused: nobody has counted them. */
  receipts: z.int().nonnegative(),
  /**
   * `pending`: signed, and not answered yet. `accepted`: in the network's book, on its way to the payout
   * address. `paid`: it has arrived, and that is final. `refused`: nothing was granted, and nothing is lost.
   */
  status: z.enum(["pending", "accepted", "paid", "refused"]),
  /** Why it is refused, or held. */
  detail: z.string().nullable(),
  /** Null: it is not paid yet. */
  payment: claimPayment.nullable(),
  at: z.int().nonnegative(),
});
export type ClaimRow = z.infer<typeof claimRow>;

/** What one call has claimed: to the address of today, and apart from it what goes elsewhere. */
export const claimOutcome = z.strictObject({
  ...claimRow.shape,
  /** Claims of the same call to other addresses: one was under way when the payout address was changed. */
  others: z.array(claimRow),
});
export type ClaimOutcome = z.infer<typeof claimOutcome>;
