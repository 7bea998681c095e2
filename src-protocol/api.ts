import { z } from "zod";
import { COUNTRIES, countryCount } from "./countries.ts";
import { STATEMENTS_PER_CLAIM } from "./claim.ts";
import { sha256Hex, ss58Address } from "./keys.ts";
import { claimRow, historyPoint, receiptRow, redoneWork, stageReplicas } from "./state.ts";
import { raoText } from "./units.ts";
import { modelSpec } from "./model.ts";
import { sessionKey } from "./keys.ts";

/**
 * The orchestrator's HTTP API, `/v1/…`. What a daemon asks for its hotkey is signed with Epistula
 * v2 headers; a run's public picture needs no signature.
 */

/** `GET /v1/run` and each `run` event of the WebSocket `/v1/watch`. */
export const runView = z.strictObject({
  runId: z.string(),
  name: z.string(),
  phase: z.enum(["waiting", "forming", "training", "finished"]),
  detail: z.string(),
  model: modelSpec,
  parameterCount: z.int().nonnegative(),
  corpus: z.string(),
  step: z.int().nonnegative(),
  steps: z.int().positive().nullable(),
  tokensPerStep: z.int().positive(),
  loss: z.number().nullable(),
  heldOutLoss: z.number().nullable(),
  /** With the parameters that the run began with. */
  heldOutLossAtStart: z.number().nullable(),
  tokensPerSecond: z.number().nullable(),
  recoveries: z.int().nonnegative(),
  lastRecoveryMs: z.number().nullable(),
  stages: z.array(
    z.strictObject({
      index: z.int().nonnegative(),
      parameterCount: z.int().nonnegative(),
      holder: z.strictObject({ sessionKey, hotkey: ss58Address, connected: z.boolean() }).nullable(),
      /** Where stages have replicas: how many work, and how many more are about to. */
      replicas: stageReplicas.optional(),
    }),
  ),
  redone: redoneWork.optional(),
  /** The newest step of which every stage's state is on a disk: it goes on from there if everything ends at once. */
  keptStep: z.int().nonnegative().optional(),
  /** Live nodes, spare ones included. */
  nodes: z.int().nonnegative(),
  /** Of them, those whose owners have said where they stand, the most first; absent: nobody has. */
  countries: z.array(countryCount).max(COUNTRIES.length).optional(),
  /** Block of the network's clock. */
  block: z.int().nonnegative(),
});
export type RunView = z.infer<typeof runView>;

/** WebSocket `/v1/watch`: the picture now, then every change (at most 5 a second) and every finished step. */
export const watchMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("run"), run: runView }),
  z.strictObject({ type: z.literal("point"), point: historyPoint }),
]);
export type WatchMessage = z.infer<typeof watchMessage>;

/** `GET /v1/run/history?sinceStep=N`: stored points after that step, oldest first. `next`: ask again with it; null: these are all. */
export const historyAnswer = z.strictObject({
  points: z.array(historyPoint).max(10_000),
  next: z.int().nonnegative().nullable(),
});
export type HistoryAnswer = z.infer<typeof historyAnswer>;

/** Credited at blocks that have not come yet: claimable from that block on. */
export const laterAmount = z.strictObject({ amountRao: raoText, fromBlock: z.int().nonnegative() });

/** `GET /v1/account` (signed by the hotkey it is about). */
export const accountAnswer = z.strictObject({
  hotkey: ss58Address,
  payoutColdkey: ss58Address,
  asset: z.enum(["test", "alpha", "tao"]),
  /** The subnet of the alpha; else 0. */
  netuid: z.int().min(0).max(65_535),
  accruedRao: raoText,
  claimedRao: raoText,
  paidRao: raoText,
  receipts: z.int().nonnegative(),
  /** Of the network's clock, and the first block of the next epoch: claims are made then. */
  block: z.int().nonnegative(),
  nextEpoch: z.int().nonnegative(),
  /** Milliseconds of a block, about. */
  blockMs: z.int().positive(),
  later: laterAmount.nullable(),
  /** Which binding of the payout address holds, counted from 1; 0: none, it is paid to itself. */
  bindingGeneration: z.int().nonnegative(),
});
export type AccountAnswer = z.infer<typeof accountAnswer>;

/** `GET /v1/account/receipts?limit=N`, newest first (signed). */
export const receiptsAnswer = z.strictObject({ receipts: z.array(receiptRow) });

/** `GET /v1/account/claimable` (signed): what a claim made now would rest on. */
export const claimableAnswer = z.strictObject({
  amountRao: raoText,
  /** Of unclaimed statements, oldest first: each adds up receipts (`statementId`). */
  statementIds: z.array(sha256Hex).max(STATEMENTS_PER_CLAIM),
  epochFrom: z.int().nonnegative(),
  epochTo: z.int().nonnegative(),
  /** Credited at blocks that have not come yet: left out, and claimable from that block on. Null: nothing is. */
  later: laterAmount.nullable(),
});
export type ClaimableAnswer = z.infer<typeof claimableAnswer>;

/** `POST /v1/claims` (signed), body `{claim: SignedClaim, statementIds}`; the answer is a claimRow. `GET /v1/claims` lists them. */
export const claimsAnswer = z.strictObject({ claims: z.array(claimRow) });
