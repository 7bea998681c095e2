import type { TensorMeta } from "../../src-protocol/peer.ts";

export const MESSAGE = Buffer.alloc(1024 * 1024, 7);
export const PROBE = Buffer.alloc(64 * 1024, 9);

/** Nobody looks at the digest here: links do not, only stages do. */
const UNSEEN = "0".repeat(64);

export function tensorOf(bytes: Uint8Array, pass: TensorMeta["pass"]): TensorMeta {
  return {
    type: "tensor",
    generation: 0,
    step: 0,
    microBatch: 0,
    pass,
    dtype: "float32",
    shape: [bytes.byteLength / 4],
    codec: "f32",
    sha256: UNSEEN,
  };
}
