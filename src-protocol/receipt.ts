import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { ed25519Signature, sessionKey, sha256Hex } from "./keys.ts";
import { MOST_MICRO_BATCHES, MOST_STAGES, MOST_STEPS } from "./model.ts";

/**
 * Proof of one stage's whole work (forward and backward) on one micro-batch.
 * `consumer` is the peer that used the last output: the previous stage, which took `dx`;
 * for the head, whose gradient leaves nobody, the next stage, which took `y`.
 */
export const receiptBody = z.strictObject({
  network: z.string().min(1).max(64),
  runId: z.string().min(1).max(64),
  stage: z.int().nonnegative().max(MOST_STAGES),
  step: z.int().nonnegative().max(MOST_STEPS),
  microBatch: z.int().nonnegative().max(MOST_MICRO_BATCHES),
  /** At most what a micro-batch can hold. */
  tokens: z
    .int()
    .positive()
    .max(2 ** 30),
  worker: sessionKey,
  consumer: sessionKey,
  /** SHA-256 of the bytes that came in with the forward pass; null for the head. */
  inputSha256: sha256Hex.nullable(),
  /** SHA-256 of the bytes the consumer used. */
  outputSha256: sha256Hex,
  /** Unix milliseconds, by the worker's clock. */
  finishedAt: z.int().nonnegative(),
});
export type ReceiptBody = z.infer<typeof receiptBody>;

export const signedReceipt = z.strictObject({
  body: receiptBody,
  workerSignature: ed25519Signature,
  consumerSignature: ed25519Signature,
});
export type SignedReceipt = z.infer<typeof signedReceipt>;

/** The exact text that worker and consumer both sign. */
export function receiptText(body: ReceiptBody): string {
  return `Train at Home receipt v1\n${canonicalJson(body)}`;
}

/** What is paid at most once: the same work redone after a recovery has the same key. */
export function receiptKey(body: Pick<ReceiptBody, "runId" | "stage" | "step" | "microBatch">): string {
  return `${body.runId}/${body.stage}/${body.step}/${body.microBatch}`;
}
