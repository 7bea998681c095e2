import { createHash } from "node:crypto";

/** A tenth of a second of hashing, on a slow computer that is busy with other things. */
const PIECE_BYTES = 8 * 1024 * 1024;

/** SHA-256 of many bytes, in pieces: heartbeats and tensors go between. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    hash.update(bytes.subarray(at, at + PIECE_BYTES));
    await new Promise(setImmediate);
  }
  return hash.digest("hex");
}
