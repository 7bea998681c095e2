import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { country } from "./countries.ts";
import { delegation } from "./delegation.ts";
import { ed25519Signature, sessionKey, sha256Hex } from "./keys.ts";
import { linkReach, linkStatus } from "./link-report.ts";
import { linkServices } from "./link-services.ts";
import { MOST_GENERATIONS, MOST_MICRO_BATCHES, MOST_STAGES, MOST_STEPS, runSpec } from "./model.ts";
import { MOST_ROUNDS } from "./peer.ts";
import { executionProvider } from "./providers.ts";
import { signedReceipt } from "./receipt.ts";

/** Worker ↔ orchestrator, JSON text over one WebSocket (`/v1/control`). */
export const CONTROL_PROTOCOL = 17;
export const HEARTBEAT_MS = 2_000;
/** A peer or node that has been silent this long is gone: noticed within 6 s, however seldom a watcher looks. */
export const DEAD_AFTER_MS = 5_500;
export const CONTROL_MESSAGE_LIMIT_BYTES = 1_048_576;
/**
 * What a node says at most in one message. SECURITY: so much is held for everybody who connects,
 * before they have said who they are.
 */
export const NODE_MESSAGE_LIMIT_BYTES = 65_536;
/** So many fit into a node's message. */
export const RECEIPTS_PER_MESSAGE = 32;
/** A refusal with this code is about the moment: coming back later helps. */
export const TOO_BUSY = "too-busy";
/** Addresses of one node beside its first. */
export const LINK_ADDRESSES = 8;
/** A month. */
const MOST_STOOD_MS = 10 * 365 * 24 * 3_600_000;
const MOST_COMPUTE_MS = 31 * 24 * 3_600_000;
/** How long a node says it will be there, at most: further ahead nothing is planned. */
export const MOST_ENDS_IN_MS = 7 * 24 * 3_600_000;
/** Of one checkpoint: 16 TiB. */
const MOST_BLOB_BYTES = 2 ** 44;

/** SECURITY: every number from outside has an end, so that no sum or loop is led beyond what numbers can hold. */
const generation = z.int().nonnegative().max(MOST_GENERATIONS);
const step = z.int().nonnegative().max(MOST_STEPS);
const stage = z
  .int()
  .nonnegative()
  .max(MOST_STAGES - 1);

const endsInMs = z.number().nonnegative().max(MOST_ENDS_IN_MS);
const microBatch = z
  .int()
  .nonnegative()
  .max(MOST_MICRO_BATCHES - 1);
/** Counts how often the sums of a step were asked for: a sum that is lost opens the step again. */
const round = z.int().nonnegative().max(MOST_ROUNDS);
/** Nats per token: whatever a float32 holds. */
const loss = z.number().min(-3.5e38).max(3.5e38);
/** Of one stage: each has a link to all of its own and of the neighbouring stages. */
export const MOST_REPLICAS = 64;
/** As long as nobody asks for another number. */
export const USUAL_REPLICAS = 48;
/** Messages of the other side that have come since the session began; see `ControlLane`. */
const heard = z
  .int()
  .nonnegative()
  .max(2 ** 48);
/** Names what both sides count: see `ControlLane`. */
const lane = z.string().regex(/^[0-9a-f]{16}$/);

/** Where a worker takes links from its peers. */
export const linkAddress = z.strictObject({
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65_535),
});
export type LinkAddress = z.infer<typeof linkAddress>;

/** Steps of a stage that this node can return to by itself, each with its `snapshotDigest`. */
const savedSteps = z.array(z.strictObject({ step, digest: sha256Hex })).max(16);
export const restorable = z.strictObject({ runId: z.string().max(64), stage, steps: savedSteps });
export type Restorable = z.infer<typeof restorable>;

export const capabilities = z.strictObject({
  platform: z.string().max(32),
  threads: z.int().positive().max(65_536),
  memoryBytes: z
    .int()
    .positive()
    .max(2 ** 50),
  executionProvider,
  /** It gave the known answer of the arithmetic class `exact`, with this provider and these threads. */
  exact: z.boolean().optional(),
});
export type Capabilities = z.infer<typeof capabilities>;

const signedSums = z
  .array(z.strictObject({ by: sessionKey, sha256: sha256Hex, signature: ed25519Signature }))
  .max(MOST_REPLICAS);

/** What a node says to the orchestrator. */
export const nodeMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("hello"),
    protocol: z.literal(CONTROL_PROTOCOL),
    delegation,
    capabilities,
    linkAddress,
    /** Further addresses at which its TLS port may answer: the computer's own in its home network. */
    otherAddresses: z.array(linkAddress).max(LINK_ADDRESSES).optional(),
    restorable: z.array(restorable).max(64),
    /** Its owner's rules end its work then; absent: nothing is known of an end. */
    endsInMs: endsInMs.optional(),
    /** Where it stands, for the network's public page; absent: its owner has not said it. */
    country: country.optional(),
    /** The connection before this one broke, and the node has heard so much on its lane: it would go on from there. */
    lane: lane.optional(),
    heard: heard.optional(),
  }),
  z.strictObject({ type: z.literal("proof"), signature: ed25519Signature }),
  z.strictObject({ type: z.literal("heartbeat"), heard: heard.optional() }),
  /** The end of its work is another one from now on; null: none is known. */
  z.strictObject({ type: z.literal("ends"), endsInMs: endsInMs.nullable() }),
  /** Its owner has said where it stands, or takes it back: null. */
  z.strictObject({ type: z.literal("country"), country: country.nullable() }),
  /** It was stopped for so long, or its computer slept, and it goes on: what it was late with says nothing of its pace. */
  z.strictObject({ type: z.literal("stood"), ms: z.number().nonnegative().max(MOST_STOOD_MS) }),
  /** Of the files of its stage, `bytes` are here and right; told while they come. */
  z.strictObject({
    type: z.literal("loading"),
    generation,
    bytes: z.int().nonnegative().max(MOST_BLOB_BYTES),
  }),
  /**
   * Stage loaded, links open, at `resumeStep`; of replicas, `step` says of which step they have the state, and
   * `sumRound` that they have the stage's whole sum of that step, of this round.
   */
  z.strictObject({
    type: z.literal("ready"),
    generation,
    step: step.optional(),
    sumRound: z.int().nonnegative().max(MOST_ROUNDS).optional(),
  }),
  /** The optimiser step was taken: the stage is now at `step`. `loss` (nats per token, mean of the step) from the tail only. */
  z.strictObject({
    type: z.literal("stepped"),
    generation,
    step,
    loss: loss.nullable(),
    computeMs: z.number().nonnegative().max(MOST_COMPUTE_MS),
  }),
  /** This node can return to `step`: its state is in memory or on disk. */
  z.strictObject({
    type: z.literal("saved"),
    generation,
    step,
    /** The file's `snapshotDigest`: by it the node is believed when it comes back. */
    digest: sha256Hex,
    /** Of the stage's chain at `step` (state-chain.ts). */
    link: sha256Hex,
    /** Of the state at `step` (state-digest.ts): from replicas always, else where the chain or a checkpoint needs it. */
    stateSha256: sha256Hex.nullable(),
    /** Steps of the stage that are on its disk: `step` may be in its memory alone. */
    onDisk: savedSteps.optional(),
  }),
  /** The snapshot of `step` is in the orchestrator's store under this digest. */
  z.strictObject({
    type: z.literal("checkpoint"),
    generation,
    step,
    sha256: sha256Hex,
    bytes: z.int().positive().max(MOST_BLOB_BYTES),
  }),
  /** Held-out loss at `step`, from the tail. */
  z.strictObject({ type: z.literal("evaluated"), generation, step, loss }),
  z.strictObject({
    type: z.literal("receipts"),
    receipts: z.array(signedReceipt).min(1).max(RECEIPTS_PER_MESSAGE),
  }),
  /** A neighbour's link broke, or a stage could not be loaded: the orchestrator re-forms. */
  z.strictObject({
    type: z.literal("trouble"),
    generation,
    code: z.string().max(64),
    message: z.string().max(2000),
    /** With `peer-unreachable`: the next stage's node, which this one could not dial. */
    peer: sessionKey.optional(),
  }),
  /**
   * Where a stage has many replicas (docs/replicas.md). The head: give me a micro-batch as soon as there is
   * one; it stands until it is answered.
   */
  z.strictObject({ type: z.literal("ask"), generation }),
  /** Sent to this replica of the next stage, by the one that owns it here. */
  z.strictObject({ type: z.literal("routed"), generation, step, microBatch, to: sessionKey }),
  /** Its gradient is in this node's sum. `loss`: from the tail only. */
  z.strictObject({
    type: z.literal("counted"),
    generation,
    step,
    microBatch,
    loss: loss.nullable(),
  }),
  /** It has the whole sum of its stage. What each maker has signed, and each who added a shard (`sumText`). */
  z.strictObject({
    type: z.literal("summed"),
    generation,
    step,
    round,
    parts: signedSums,
    /** By shard; none where the sums are not cut. */
    totals: signedSums,
    /** Of what the stage's sum has of parameters that other stages hold, too: they ask for it with `take`. */
    tied: sha256Hex.optional(),
  }),
  /** For a while it has waited for what these have to give to the sum. */
  z.strictObject({
    type: z.literal("lacking"),
    generation,
    step,
    round,
    of: z.array(sessionKey).max(MOST_REPLICAS),
  }),
  /** It has taken over the state of `step` from another replica. */
  z.strictObject({ type: z.literal("adopted"), generation, step }),
  /** Held-out loss of one micro-batch, from the tail. */
  z.strictObject({ type: z.literal("measured"), generation, step, microBatch, loss }),
  /** A peer has broken a rule. */
  z.strictObject({
    type: z.literal("accuse"),
    generation,
    step,
    replica: sessionKey,
    /** Null: it is not about one of them. */
    microBatch: microBatch.nullable(),
    code: z.string().max(64),
    message: z.string().max(500),
  }),
  /** Its links as they are now; every few seconds while it has a stage, and when one changes. */
  z.strictObject({ type: z.literal("links"), status: linkStatus }),
  /** Leaving on purpose; the socket closes next. */
  z.strictObject({ type: z.literal("drain"), reason: z.string().max(200) }),
]);
export type NodeMessage = z.infer<typeof nodeMessage>;

const peer = z.strictObject({
  sessionKey,
  address: linkAddress,
  /** Tried beside `address`, all at once. */
  others: z.array(linkAddress).max(LINK_ADDRESSES).optional(),
});
export type PeerAddress = z.infer<typeof peer>;

const replicaPeer = peer.extend({
  /** It has the state of the step: micro-batches may go to it. */
  live: z.boolean(),
});
export type ReplicaPeer = z.infer<typeof replicaPeer>;
const replicaPeers = z.array(replicaPeer).max(MOST_REPLICAS);

/** What the orchestrator says to a node. */
export const orchestratorMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("challenge"),
    protocol: z.literal(CONTROL_PROTOCOL),
    network: z.string().max(64),
    nonce: sha256Hex,
  }),
  /**
   * `links`: what the network offers to nodes that cannot dial each other directly. `heard`: it goes on
   * on the lane of before, on which so much was heard of the node; absent: everything begins anew, on this lane.
   */
  z.strictObject({
    type: z.literal("welcome"),
    links: linkServices.optional(),
    lane,
    heard: heard.optional(),
  }),
  z.strictObject({ type: z.literal("refused"), code: z.string().max(64), message: z.string().max(2000) }),
  z.strictObject({ type: z.literal("heartbeat"), heard: heard.optional() }),
  z.strictObject({
    type: z.literal("assign"),
    generation,
    run: runSpec,
    stage,
    resumeStep: step,
    /** `snapshotDigest` of the state that counts for `resumeStep`; null: it is step 0, or only the checkpoint is known. */
    resumeDigest: sha256Hex.nullable(),
    /** Where to take `resumeStep` from when this node has no snapshot of it; null: it is step 0, or the node has one. */
    checkpointSha256: sha256Hex.nullable(),
    /**
     * Of files that are loaded as a whole, what their chunks are known by (`chunksDigest`): so whoever
     * brings one, it is checked against what was assigned. Absent: not known yet.
     */
    chunkLists: z
      .array(z.strictObject({ sha256: sha256Hex, chunksSha256: sha256Hex }))
      .max(8)
      .optional(),
    /** Dial `next`; expect `previous` to dial you. Null at the ends. */
    previous: peer.nullable(),
    next: peer.nullable(),
    /**
     * The stage has many replicas: who they and the neighbours are comes with `members`. `false`: load the
     * state of `resumeStep`; `true`: everything but the state, which comes with `adopt`.
     */
    joins: z.boolean().optional(),
    /** How many computers are to hold the stage, by which its memory is counted. Absent: it has the stage alone. */
    replicas: z.int().min(1).max(MOST_REPLICAS).optional(),
  }),
  /** Of stages with many replicas: all that this node has to do with, whenever that changes. */
  z.strictObject({
    type: z.literal("members"),
    generation,
    /** Its own end is near: it gets nothing new, others of its stage go on. */
    leaving: z.literal(true).optional(),
    previous: replicaPeers,
    own: replicaPeers,
    next: replicaPeers,
  }),
  /** Take over the state of `step` from one of these replicas. */
  z.strictObject({
    type: z.literal("adopt"),
    generation,
    step,
    /** On which the replicas agreed (state-digest.ts). */
    stateSha256: sha256Hex,
    /** Of the stage's chain there. */
    link: sha256Hex,
    from: z.array(sessionKey).min(1).max(MOST_REPLICAS),
  }),
  /** The step begins; what is of the one before is not needed any more. */
  z.strictObject({ type: z.literal("open"), generation, step }),
  /** The head's answer to `ask`. */
  z.strictObject({
    type: z.literal("lease"),
    generation,
    step,
    microBatch,
    pass: z.enum(["forward", "evaluate"]),
    /** A lost head had sent it to this replica of the next stage, which needs it not again. */
    heldBy: sessionKey.nullable(),
    /** A lost one had counted it: nobody waits for it before the end of the step. */
    isAgain: z.literal(true).optional(),
  }),
  /**
   * The micro-batch is this node's to work on, as this replica of the stage before gives it: what anybody else sends is
   * nobody's. Said again when another one gives it, since the one before was lost. `heldBy`, `isAgain`: as in `lease`.
   */
  z.strictObject({
    type: z.literal("yours"),
    generation,
    step,
    microBatch,
    from: sessionKey,
    heldBy: sessionKey.nullable(),
    isAgain: z.literal(true).optional(),
  }),
  /** Nothing of this replica counts in the step. */
  z.strictObject({
    type: z.literal("fenced"),
    generation,
    step,
    replica: sessionKey,
    code: z.string().max(64),
  }),
  /** Every micro-batch is counted: these sums of the stage are added up, in this order, for everybody in `live`. */
  z.strictObject({
    type: z.literal("commit"),
    generation,
    step,
    round,
    sums: z
      .array(
        z.strictObject({ replica: sessionKey, microBatches: z.array(microBatch).max(MOST_MICRO_BATCHES) }),
      )
      .max(MOST_REPLICAS),
    live: z.array(sessionKey).max(MOST_REPLICAS),
    /** How many the sums are cut into (sum-shards.ts). */
    shards: z.int().min(1).max(MOST_REPLICAS),
    /** Two have added the same shard and came to different totals: now everybody adds every one. */
    isRecount: z.boolean(),
  }),
  /** Everybody has all sums: take the optimiser step. */
  z.strictObject({
    type: z.literal("take"),
    generation,
    step,
    /** Of stages that hold parameters together: what each gives to the others' sums, by its digest. */
    ties: z
      .array(z.strictObject({ stage, sha256: sha256Hex }))
      .max(MOST_STAGES)
      .optional(),
  }),
  /**
   * Head only: run this step. `microBatches` 0 is an evaluation alone. Evaluation micro-batches go
   * first, with the parameters of `step`, before any of them is trained further.
   */
  z.strictObject({
    type: z.literal("grant"),
    generation,
    step,
    microBatches: z.int().nonnegative().max(MOST_MICRO_BATCHES),
    evaluations: z.int().nonnegative().max(MOST_MICRO_BATCHES),
  }),
  /** What other nodes' attempts say about whether this one can be dialled. */
  z.strictObject({ type: z.literal("reach"), reach: linkReach }),
  /** Stop work of this and earlier generations; keep what is loaded and wait. */
  z.strictObject({ type: z.literal("halt"), generation, reason: z.string().max(200) }),
  /** These receipts (SHA-256 of their signed text) are on disk, or refused for good with the reason. */
  z.strictObject({
    type: z.literal("receiptsStored"),
    stored: z.array(sha256Hex).max(RECEIPTS_PER_MESSAGE),
    refused: z.array(z.strictObject({ id: sha256Hex, code: z.string().max(64) })).max(RECEIPTS_PER_MESSAGE),
    /** Stored ones of which a part is not paid. */
    partly: z
      .array(z.strictObject({ id: sha256Hex, code: z.string().max(64) }))
      .max(RECEIPTS_PER_MESSAGE)
      .optional(),
  }),
  /** All that was said to be stored on this connection so far is in the database itself: it may be forgotten. */
  z.strictObject({ type: z.literal("receiptsSafe") }),
]);
export type OrchestratorMessage = z.infer<typeof orchestratorMessage>;

const UNCOUNTED: ReadonlySet<(NodeMessage | OrchestratorMessage)["type"]> = new Set([
  "hello",
  "proof",
  "challenge",
  "welcome",
  "refused",
  "heartbeat",
  // These are said again anyway, until they are answered or out of date.
  "receipts",
  "receiptsStored",
  "receiptsSafe",
  "loading",
  "links",
]);

/** It belongs to the session and not to the connection: see `ControlLane`. */
export function isCounted({ type }: NodeMessage | OrchestratorMessage): boolean {
  return !UNCOUNTED.has(type);
}

/** The TLS exporter of a control connection (RFC 8446, 7.5): both ends of one connection have the same, and nobody else. */
export const CONTROL_EXPORTER_LABEL = "train-at-home-control-v1";
export const CONTROL_EXPORTER_BYTES = 32;
/** Instead of an exporter where there is no TLS: on this computer's own loopback. */
export const LOOPBACK_CHANNEL = "loopback";

/**
 * The exact text the session key signs to prove that it holds the delegated key.
 *
 * @param channel the connection's exporter in hex, so that a proof is worth nothing on another one
 */
export function proofText(network: string, nonce: string, channel: string): string {
  return `Train at Home control proof v2\n${network}\n${nonce}\n${channel}`;
}

/**
 * What a replica signs of the sum that it sends to the others of its stage (`sumRoot`), or of a shard of the
 * whole sum that it has added up: two different ones of the same round are a proof against it.
 */
export function sumText(of: {
  readonly network: string;
  readonly runId: string;
  readonly generation: number;
  readonly stage: number;
  readonly step: number;
  readonly round: number;
  /** Left out: it is of its own sum. */
  readonly shard?: number;
  readonly sha256: string;
}): string {
  return `Train at Home gradient sum v1\n${canonicalJson(of)}`;
}

/** Which side has to be updated when the other one speaks version `theirs`. */
export function protocolAdvice(theirs: number, they: "network" | "app"): string {
  const isTheirs = theirs < CONTROL_PROTOCOL;
  const versions =
    they === "app"
      ? `The app speaks version ${theirs} of the control protocol, and the network version ${CONTROL_PROTOCOL}.`
      : `The network speaks version ${theirs} of the control protocol, and the app version ${CONTROL_PROTOCOL}.`;
  return isTheirs === (they === "app")
    ? `${versions} Update the app on this computer, then connect again.`
    : `${versions} The network is behind: whoever operates it has to update its orchestrator.`;
}
