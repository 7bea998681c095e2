import { CODECS } from "../../src-engine/codecs/codecs.ts";
import { randomStream } from "../../src-engine/random.ts";
import type { CodecName } from "../../src-protocol/link-codecs.ts";
import { codecOf } from "../../src-protocol/link-codecs.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { TensorMeta } from "../../src-protocol/peer.ts";
import type { Activations } from "../compute/compute-call.ts";

/** Which tensor it is: with the run's seed, all that its rounding depends on. */
export interface TensorPlace extends Pick<TensorMeta, "pass" | "step" | "microBatch"> {
  /** Of its sender. */
  readonly stage: number;
}

/**
 * A tensor's bytes. Activations are rounded to the nearest value. Gradients are rounded stochastically, by a
 * stream that the run's seed and the tensor's place name: whoever encodes the same values for the same place,
 * again or on another computer, gets the same bytes.
 *
 * In `f32` it is the values' own memory.
 */
export function encodedTensor(
  seed: number,
  place: TensorPlace,
  codec: CodecName,
  values: Activations,
): Uint8Array<ArrayBuffer> {
  if (codec === "f32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const { pass, step, microBatch, stage } = place;
  const bytes = new Uint8Array(CODECS[codec].encodedBytes(values.length));
  const random = pass === "backward" ? randomStream(seed, "link", pass, step, microBatch, stage) : undefined;
  CODECS[codec].encode(values, bytes, random);
  return bytes;
}

/** `bytes` are as many as `count` values take. In `f32` it is their own memory. */
export function decodedTensor(codec: CodecName, bytes: Uint8Array<ArrayBuffer>, count: number): Activations {
  if (codec === "f32") return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  const values = new Float32Array(count);
  CODECS[codec].decode(bytes, values);
  return values;
}

/** What the receiver has of it: a run is done again without links, and equals one with them. */
export function passedOn(
  run: Pick<RunSpec, "arithmetic" | "codecs" | "seed">,
  place: TensorPlace,
  values: Activations,
): Activations {
  const codec = codecOf(run, place.pass, false);
  if (codec === "f32") return values;
  return decodedTensor(codec, encodedTensor(run.seed, place, codec, values), values.length);
}
