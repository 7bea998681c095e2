import { z } from "zod";
import { ed25519Signature, sha256Hex } from "./keys.ts";
import { receiptBody } from "./receipt.ts";

/** What travels between two workers: this is the frame's meta; a tensor's bytes are its payload. */
const step = z.int().nonnegative();
const microBatch = z.int().nonnegative();
const generation = z.int().nonnegative();

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
  shape: z.array(z.int().positive()).min(1).max(8),
  codec: z.enum(["f32", "f16", "int8b64"]),
  /** Of the payload as sent. */
  sha256: sha256Hex,
});
export type TensorMeta = z.infer<typeof tensorMeta>;

export const peerMessage = z.discriminatedUnion("type", [
  tensorMeta,
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

/** Frame of design section 5: `magic u32 | version u8 | type u8 | flags u16 | metaLength u32 | payloadLength u32`, little-endian. */
export const FRAME_MAGIC = 0x31484154; // "TAH1"
export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 16;
export const META_LIMIT_BYTES = 64 * 1024;
export const PAYLOAD_LIMIT_BYTES = 32 * 1024 * 1024;
export const CHUNK_BYTES = 256 * 1024;
