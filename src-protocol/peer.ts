import { z } from "zod";
import { codecName, sumCodec } from "./link-codecs.ts";
import { ed25519Signature, sha256Hex } from "./keys.ts";
import { MOST_GENERATIONS, MOST_MICRO_BATCHES, MOST_STAGES, MOST_STEPS } from "./model.ts";
import { receiptBody } from "./receipt.ts";

const MOST_WORK_MS = 31 * 24 * 3_600_000;
/** What a replica tells those who send it work; all times are its own, ms. */
export const replicaLoad = z.strictObject({
  /** Of a micro-batch, there and back. */
  workMs: z.number().nonnegative().max(MOST_WORK_MS),
  /** Of all that it can work on now. */
  backlogMs: z.number().nonnegative().max(MOST_WORK_MS),
  /** Micro-batches of this step that have come from the receiver. */
  taken: z
    .int()
    .nonnegative()
    .max(2 * MOST_MICRO_BATCHES),
});
export type ReplicaLoad = z.infer<typeof replicaLoad>;

/** What travels between two workers: this is the frame's meta; a tensor's bytes are its payload. */
const step = z.int().nonnegative().max(MOST_STEPS);
const microBatch = z
  .int()
  .nonnegative()
  .max(MOST_MICRO_BATCHES - 1);
const generation = z.int().nonnegative().max(MOST_GENERATIONS);
/** SECURITY: whatever is counted while a link lives; no sum of two of them leaves the whole numbers. */
const counted = z
  .int()
  .nonnegative()
  .max(2 ** 48);
/** Of one axis: more values than a payload holds. */
const MOST_VALUES = 2 ** 26;

export const tensorMeta = z.strictObject({
  type: z.literal("tensor"),
  generation,
  step,
  microBatch,
  /**
   * `forward` and `evaluate` go towards the tail, `backward` towards the head. `tie`: the gradients of
   * tied parameters, summed on the way to the head, and the sum on the way back; `microBatch` is then
   * the number of the part.
   */
  pass: z.enum(["forward", "backward", "evaluate", "tie"]),
  dtype: z.literal("float32"),
  shape: z.array(z.int().positive().max(MOST_VALUES)).min(1).max(8),
  codec: codecName,
  /** Of the payload as sent. */
  sha256: sha256Hex,
  /** Backward, of a replica: by it others route. */
  load: replicaLoad.optional(),
});
export type TensorMeta = z.infer<typeof tensorMeta>;

/** Of a file that a neighbour has, so much is asked for at once: what is urgent waits for no more than that. */
export const BLOB_PART_BYTES = 64 * 1024;
/** Asks of one neighbour that may be under way; whoever asks for more hears that there is nothing. */
export const BLOB_ASKS = 8;

/** Chunks of the run's files, from a neighbour that has them. Answers carry the number of the ask. */
const askId = counted;
export const blobMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("blobAsk"),
    id: askId,
    sha256: sha256Hex,
    from: z
      .int()
      .nonnegative()
      .max(2 ** 42),
    length: z.int().min(1).max(BLOB_PART_BYTES),
  }),
  /** The bytes are the payload. */
  z.strictObject({ type: z.literal("blobPart"), id: askId }),
  z.strictObject({ type: z.literal("blobNone"), id: askId }),
]);
export type BlobMessage = z.infer<typeof blobMessage>;

/** Of the messages with a payload and of those without, each counted from the beginning of the session. */
const counts = { tensors: counted, notes: counted };
/**
 * What both ends of a link say about the link itself. By the dialler's first word its other end knows what the
 * link is for, whoever of the two has heard first that they are neighbours.
 */
export const upkeepMessage = z.discriminatedUnion("type", [
  /** A replica's link, which ends with its path. */
  z.strictObject({ type: z.literal("direct") }),
  /**
   * A link that outlives the path that carries it: the first word on every path, the dialler's first. So many
   * messages of the other side have come whole.
   */
  z.strictObject({ type: z.literal("resume"), session: z.string().regex(/^[0-9a-f]{32}$/), ...counts }),
  /** The same while it goes on: the sender may forget them. */
  z.strictObject({ type: z.literal("received"), ...counts }),
]);
export type UpkeepMessage = z.infer<typeof upkeepMessage>;
/**
 * From whoever may not receive as fast as the other sends: `taken` frame bytes have come on this path, and
 * `bytes` more may be on their way; null: as many as the transport takes.
 */
export const windowMessage = z.strictObject({
  type: z.literal("window"),
  bytes: z
    .int()
    .positive()
    .max(2 ** 42)
    .nullable(),
  taken: counted,
});
export type WindowMessage = z.infer<typeof windowMessage>;
/**
 * Nothing has come from you for so long. Who hears it is heard no more and cannot know: a router before the
 * other computer has given its link another port, from which packets come and to which none is sent.
 */
export const unheardMessage = z.strictObject({
  type: z.literal("unheard"),
  ms: z.number().nonnegative().max(60_000),
});
export type UnheardMessage = z.infer<typeof unheardMessage>;
/**
 * Of two processes that share a folder in memory: large payloads of the sender may lie in its lane there from now
 * on. Whoever reaches it, and finds the sender's session key in it, says so by its name; whoever does not is silent,
 * and gets them as before.
 */
export const laneMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("lane"),
    lane: z.string().regex(/^[0-9a-f]{32}$/),
    /** Of the tags by which the reader knows that nobody else has written there. */
    key: z.string().regex(/^[0-9a-f]{32}$/),
  }),
  z.strictObject({ type: z.literal("laneSeen"), lane: z.string().regex(/^[0-9a-f]{32}$/) }),
]);
export type LaneMessage = z.infer<typeof laneMessage>;
/** Bytes of a stage's state that are asked for at once. */
export const STATE_PART_BYTES = 1024 * 1024;
/** Values of a sum that travel in one message: every one has so many, but the last. */
export const SUM_PART_VALUES = 2 ** 20;
/** A sum that is lost opens its step again. */
export const MOST_ROUNDS = 1_000_000;
const value = z
  .int()
  .nonnegative()
  .max(2 ** 42);

const stageIndex = z
  .int()
  .nonnegative()
  .max(MOST_STAGES - 1);
/** As many as replicas. */
const MOST_SHARDS = 64;
const ofSum = {
  generation,
  step,
  round: z.int().nonnegative().max(MOST_ROUNDS),
  shard: z
    .int()
    .nonnegative()
    .max(MOST_SHARDS - 1),
  from: value,
  /** Of the bytes, whose digests are signed. */
  codec: sumCodec,
};

/** Between replicas, see docs/replicas.md. */
export const replicaMessage = z.discriminatedUnion("type", [
  /** To the next stage: this node does a lost one's micro-batch again and needs the gradient that you have kept. */
  z.strictObject({ type: z.literal("want"), generation, step, microBatch }),
  /** The answer, when what the lost one had sent never came, or was refused: send me yours. */
  z.strictObject({ type: z.literal("lack"), generation, step, microBatch }),
  /** To the stage before, when it changes, and not often. */
  z.strictObject({ type: z.literal("load"), generation, step, load: replicaLoad }),
  /**
   * Of a shard (sum-shards.ts) of the sender's gradient sum, values from `from` on; `digests` of all shards,
   * signed as one (`sumText`).
   */
  z.strictObject({
    type: z.literal("sum"),
    ...ofSum,
    digests: z.array(sha256Hex).min(1).max(MOST_SHARDS),
    signature: ed25519Signature,
  }),
  /** Of a shard that the sender has added up: the sum of all replicas. `sha256` of all of it, signed. */
  z.strictObject({
    type: z.literal("total"),
    ...ofSum,
    sha256: sha256Hex,
    signature: ed25519Signature,
  }),
  /** Of the state of `step`. The answer carries the number of the ask, and the bytes as payload. */
  z.strictObject({
    type: z.literal("stateAsk"),
    generation,
    id: askId,
    step,
    from: value,
    length: z.int().min(1).max(STATE_PART_BYTES),
  }),
  /** For the digests of all leaves of that state (state-digest.ts): by them each part is known to be right. */
  z.strictObject({ type: z.literal("leavesAsk"), generation, id: askId, step }),
  z.strictObject({ type: z.literal("statePart"), generation, id: askId }),
  /** Of neighbours: what the sums of `step` of a stage have of parameters that others hold, too, from value `from` on. */
  z.strictObject({ type: z.literal("tieAsk"), generation, id: askId, step, stage: stageIndex, from: value }),
  z.strictObject({ type: z.literal("tiePart"), generation, id: askId }),
  z.strictObject({ type: z.literal("tieNone"), generation, id: askId }),
  z.strictObject({ type: z.literal("stateNone"), generation, id: askId }),
]);
export type ReplicaMessage = z.infer<typeof replicaMessage>;

export const peerMessage = z.discriminatedUnion("type", [
  tensorMeta,
  ...blobMessage.options,
  ...upkeepMessage.options,
  windowMessage,
  unheardMessage,
  ...laneMessage.options,
  ...replicaMessage.options,
  /** The worker asks a peer that used its output to counter-sign. */
  z.strictObject({ type: z.literal("receipt"), body: receiptBody, workerSignature: ed25519Signature }),
  /** The peer's answer; `receiptId` is the SHA-256 of the receipt's text. */
  z.strictObject({
    type: z.literal("counterSignature"),
    receiptId: sha256Hex,
    signature: ed25519Signature,
  }),
]);
export type PeerMessage = z.infer<typeof peerMessage>;
/** What the stages say to each other. */
export type StageMessage = Exclude<
  PeerMessage,
  BlobMessage | UpkeepMessage | WindowMessage | UnheardMessage | LaneMessage
>;

export function isUpkeepMessage(message: PeerMessage): message is UpkeepMessage {
  return message.type === "direct" || message.type === "resume" || message.type === "received";
}

export function isLaneMessage(message: PeerMessage): message is LaneMessage {
  return message.type === "lane" || message.type === "laneSeen";
}

export function isBlobMessage(message: PeerMessage): message is BlobMessage {
  return message.type === "blobAsk" || message.type === "blobPart" || message.type === "blobNone";
}

/** How much payload a message has. */
export function payloadRange({ type }: PeerMessage): readonly [min: number, max: number] {
  if (type === "tensor") return [1, PAYLOAD_LIMIT_BYTES];
  if (type === "sum" || type === "total") return [0, SUM_PART_VALUES * 4];
  if (type === "tiePart") return [1, SUM_PART_VALUES * 4];
  if (type === "statePart") return [1, STATE_PART_BYTES];
  return type === "blobPart" ? [1, BLOB_PART_BYTES] : [0, 0];
}

/** Frame of design section 5: `magic u32 | version u8 | type u8 | flags u16 | metaLength u32 | payloadLength u32`, little-endian. */
export const FRAME_MAGIC = 0x31484154; // "TAH1"
export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 16;
export const META_LIMIT_BYTES = 64 * 1024;
export const PAYLOAD_LIMIT_BYTES = 32 * 1024 * 1024;
export const CHUNK_BYTES = 256 * 1024;
