import { isFiniteTensor } from "../src-protocol/finite.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { TensorMeta } from "../src-protocol/peer.ts";
import { sha256 } from "../src-protocol/signing.ts";
import type { Activations } from "./compute-call.ts";
import type { Neighbour } from "./receipts.ts";

export interface Tensor {
  readonly values: Activations;
  readonly sha256: string;
}

/** What computing gave: values without a digest, which is made while the next job runs. */
export type Crossing = Tensor | { readonly values: Activations; readonly sha256: null };

/** Why a tensor cannot be used, or null. Its digest is what our counter-signature will vouch for. */
export function refusalOf(
  spec: RunSpec,
  from: Neighbour,
  meta: TensorMeta,
  payload: Uint8Array<ArrayBuffer>,
): Failure | null {
  const [rows, width] = shapeOf(spec);
  if ((meta.pass === "backward") !== (from === "next")) {
    return new Failure("bad-tensor", `The ${from} stage sent a tensor that goes ${meta.pass}.`);
  }
  if (meta.codec !== "f32" || meta.shape.length !== 2 || meta.shape[0] !== rows || meta.shape[1] !== width) {
    return new Failure(
      "bad-tensor",
      `The ${from} stage sent a tensor of shape ${meta.shape.join("×")} in ${meta.codec}; ${rows}×${width} in f32 is due.`,
    );
  }
  if (
    payload.byteLength !== rows * width * Float32Array.BYTES_PER_ELEMENT ||
    sha256(payload) !== meta.sha256
  ) {
    return new Failure("bad-tensor", `A tensor from the ${from} stage does not match its size or digest.`);
  }
  if (!isFiniteTensor(floatsOf(payload))) {
    return new Failure("bad-tensor", `A tensor from the ${from} stage holds values that are no numbers.`);
  }
  return null;
}

/** The payload's own memory, which is as long as whole values are. */
export function floatsOf({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): Activations {
  return new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT);
}

export function shapeOf({ batch, sequence, model }: RunSpec): readonly [rows: number, width: number] {
  return [batch * sequence, model.width];
}
