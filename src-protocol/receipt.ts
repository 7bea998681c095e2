import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { ed25519Signature, sessionKey, sha256Hex } from "./keys.ts";
import { microBatchesOf, microBatchSet } from "./micro-batch-set.ts";
import { MOST_MICRO_BATCHES, MOST_STAGES, MOST_STEPS } from "./model.ts";

/** Who used the work, as seen from the worker. */
export const NEIGHBOURS = ["previous", "next"] as const;
export type Neighbour = (typeof NEIGHBOURS)[number];

/** Of one receipt: what is with still more peers is named by those of the other side. */
export const MOST_SHARE_PEERS = 64;

/** What a replica did of a step that the replicas of its stage have shared. */
export const receiptShare = z.strictObject({
  /** All that it counted. */
  microBatches: microBatchSet,
  /** Those who used it, each with its part. Nobody's part of one side is another's. */
  peers: z
    .array(
      z.strictObject({
        side: z.enum(NEIGHBOURS),
        key: sessionKey,
        microBatches: microBatchSet,
        /** `tensorsDigest` of what the worker took from this peer (`x` or `dy`) and gave to it (`dx` or `y`). */
        taken: sha256Hex,
        given: sha256Hex,
      }),
    )
    .min(1)
    .max(MOST_SHARE_PEERS),
});
export type ReceiptShare = z.infer<typeof receiptShare>;

/**
 * Proof of the work (forward and backward) of one node on one stage and step. Where the stage has one
 * holder, that is all of the step's micro-batches: `previous` and `next` are the peers that used what came
 * out, `next` took the `y`s, `previous` the `dx`s. Where it has replicas, `share` says which micro-batches
 * and who used them, and `previous`, `next` and the digests are null.
 */
export const receiptBody = z.strictObject({
  network: z.string().min(1).max(64),
  runId: z.string().min(1).max(64),
  stage: z.int().nonnegative().max(MOST_STAGES),
  /** Steps taken before this one: the parameters that the work was done with. */
  step: z.int().nonnegative().max(MOST_STEPS),
  microBatches: z.int().positive().max(MOST_MICRO_BATCHES),
  /** Of all micro-batches. */
  tokens: z
    .int()
    .positive()
    .max(2 ** 42),
  /** Counted by the run's plan for one micro-batch, forward and backward. */
  flops: z.int().nonnegative(),
  worker: sessionKey,
  /** Null at the head. */
  previous: sessionKey.nullable(),
  /** Null at the tail. */
  next: sessionKey.nullable(),
  /** `tensorsDigest` of what came in, `x` from the previous stage and `dy` from the next; null at the ends. */
  x: sha256Hex.nullable(),
  dy: sha256Hex.nullable(),
  /** And of what went out, `y` to the next stage and `dx` to the previous one. */
  y: sha256Hex.nullable(),
  dx: sha256Hex.nullable(),
  /** Of the stage's chain at `step` (state-chain.ts). The link after it is not known before the state is hashed. */
  link: sha256Hex,
  /** Unix milliseconds, by the worker's clock. */
  finishedAt: z.int().nonnegative().max(8.64e15),
  /** The worker's own chain; absent in receipts from before it. One that is missing in between was given up, or held back. */
  chain: z
    .strictObject({
      /** How many receipts this session key has signed before. */
      sequence: z
        .int()
        .nonnegative()
        .max(2 ** 48),
      /** The id of the one before; null: this is its first. */
      before: sha256Hex.nullable(),
    })
    .optional(),
  share: receiptShare.optional(),
});
export type ReceiptBody = z.infer<typeof receiptBody>;

export const signedReceipt = z.strictObject({
  body: receiptBody,
  workerSignature: ed25519Signature,
  /** Null where there is no such peer, or it did not answer in time: one of the two is enough. */
  previousSignature: ed25519Signature.nullable(),
  nextSignature: ed25519Signature.nullable(),
  /** Of a share: one for each of its peers, in their order; null as above. */
  peerSignatures: z.array(ed25519Signature.nullable()).max(MOST_SHARE_PEERS).optional(),
});
export type SignedReceipt = z.infer<typeof signedReceipt>;

/** The exact text that worker and peers sign; a receipt's id is its SHA-256. */
export function receiptText({ chain, share, ...body }: ReceiptBody): string {
  if (share !== undefined)
    return `Train at Home receipt v4\n${canonicalJson({ ...body, ...(chain !== undefined && { chain }), share })}`;
  return chain === undefined
    ? `Train at Home receipt v2\n${canonicalJson(body)}`
    : `Train at Home receipt v3\n${canonicalJson({ ...body, chain })}`;
}

/** Links the receipts that one session key signs, in the order in which it signs them. */
export class ReceiptChain {
  #sequence = 0;
  #before: string | null = null;

  next(): NonNullable<ReceiptBody["chain"]> {
    return { sequence: this.#sequence, before: this.#before };
  }

  signed(id: string): void {
    this.#sequence += 1;
    this.#before = id;
  }
}

/** Of a share, only what somebody who signed has used counts; of a whole stage's receipt one signature is enough. */
export function vouchedMicroBatches({ body, peerSignatures = [] }: SignedReceipt): number {
  if (body.share === undefined) return body.microBatches;
  const used = body.share.peers.flatMap(({ microBatches }, at) =>
    (peerSignatures[at] ?? null) === null ? [] : microBatchesOf(microBatches),
  );
  return new Set(used).size;
}

/** What is paid at most once: the same work redone after a recovery has the same key. */
export function receiptKey({
  runId,
  stage,
  step,
  share,
  worker,
}: Pick<ReceiptBody, "runId" | "stage" | "step" | "share" | "worker">): string {
  return `${runId}/${stage}/${step}${share === undefined ? "" : `/${worker}`}`;
}
