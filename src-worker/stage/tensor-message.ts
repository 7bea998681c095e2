import { CODECS } from "../../src-engine/codecs/codecs.ts";
import { isFiniteTensor } from "../../src-protocol/finite.ts";
import { Failure, TENSOR_NOT_FINITE } from "../../src-protocol/failure.ts";
import { codecsAgreed } from "../../src-protocol/link-codecs.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { TensorMeta } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { Activations, StageInfo } from "../compute/compute-call.ts";
import type { Neighbour } from "../pipeline/receipts.ts";
import { decodedTensor } from "./coded-tensor.ts";

export interface Tensor {
  readonly values: Activations;
  readonly sha256: string;
}

/** What computing gave: values without a digest, which is made while the next job runs. */
export type Crossing = Tensor | { readonly values: Activations; readonly sha256: null };

/** The parts of a stage that its neighbours' tensors have to fit. */
export type Crossings = Pick<StageInfo, "input" | "output" | "ties">;

/**
 * The tensor that a message brings, or why it cannot be used. Its digest, of the bytes as they came, is what
 * our counter-signature will vouch for. A peer of the same owner is taken at its word: the link has seen that the
 * bytes are its own, and what the two sign for each other is worth what the owner's word is worth.
 *
 * SECURITY: direction, shape, codec and size are looked at before values are given memory.
 */
export function tensorOf(
  run: Pick<RunSpec, "arithmetic" | "codecs">,
  stage: Crossings,
  from: Neighbour,
  meta: TensorMeta,
  payload: Uint8Array<ArrayBuffer>,
  isOwn = false,
): Tensor | Failure {
  if (meta.pass !== "tie" && (meta.pass === "backward") !== (from === "next")) {
    return new Failure("bad-tensor", `The ${from} stage sent a tensor that goes ${meta.pass}.`);
  }
  const due = shapeOf(stage, meta.pass, from, meta.microBatch);
  const agreed = codecsAgreed(run, meta.pass);
  if (!agreed.includes(meta.codec) || due === null || meta.shape.join() !== due.join()) {
    return new Failure(
      "bad-tensor",
      `The ${from} stage sent a tensor of shape ${meta.shape.join("×")} in ${meta.codec}; ${due === null ? "none" : `${due.join("×")} in ${agreed.join(" or ")}`} is due.`,
    );
  }
  const size = due.reduce((a, b) => a * b, 1);
  const isWhole = payload.byteLength === CODECS[meta.codec].encodedBytes(size);
  if (!isWhole || (!isOwn && sha256(payload) !== meta.sha256)) {
    return new Failure("bad-tensor", `A tensor from the ${from} stage does not match its size or digest.`);
  }
  const values = decodedTensor(meta.codec, payload, size);
  if (!isFiniteTensor(values)) {
    return new Failure(
      TENSOR_NOT_FINITE,
      `A tensor from the ${from} stage holds values that are no numbers.`,
    );
  }
  return { values, sha256: meta.sha256 };
}

/** The payload's own memory, which is as long as whole values are. */
export function floatsOf({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): Activations {
  return new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT);
}

/** What is due from a neighbour; null: nothing. `part`: of tied gradients. */
export function shapeOf(
  stage: Crossings,
  pass: TensorMeta["pass"],
  neighbour: Neighbour,
  part: number,
): readonly number[] | null {
  if (pass === "tie") {
    const size = tiePartsOf(stage)[part];
    return size === undefined ? null : [size];
  }
  return neighbour === "previous" ? stage.input : stage.output;
}

/** Half the largest payload. */
const LARGEST_PART = 2 ** 22;

/** Values in each part of the tied parameters' gradients. */
export function tiePartsOf({ ties }: Pick<Crossings, "ties">): number[] {
  const parts: number[] = [];
  for (let left = ties.reduce((sum, { size }) => sum + size, 0); left > 0; left -= LARGEST_PART)
    parts.push(Math.min(left, LARGEST_PART));
  return parts;
}
