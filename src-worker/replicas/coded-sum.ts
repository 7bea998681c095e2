import { createHash } from "node:crypto";
import { CODECS } from "../../src-engine/codecs/codecs.ts";
import type { SumCodec } from "../../src-protocol/link-codecs.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { Activations } from "../compute/compute-call.ts";

/** Values of a sum as they travel, and as everybody has them who got them: their maker too. */
export interface CodedSum {
  readonly values: Activations;
  readonly pieces: readonly SumPiece[];
  /** Of all bytes. */
  readonly sha256: string;
}

export interface SumPiece {
  /** The first of its values. */
  readonly from: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Beyond it binary16 has infinity only. */
const LARGEST_F16 = 65_504;

/**
 * Pieces of `SUM_PART_VALUES` values, each encoded by itself, to the nearest: what that leaves out is for
 * `RoundingRest`. What `f16` has no room for becomes its largest number. In `f32` it is all the values' own memory.
 */
export function codedSum(codec: SumCodec, values: Activations): CodedSum {
  const sent = codec === "f16" ? withinF16(values) : values;
  const heard = codec === "f32" ? values : new Float32Array(values.length);
  const pieces: SumPiece[] = [];
  let from = 0;
  do {
    const to = Math.min(from + SUM_PART_VALUES, values.length);
    const piece = sent.subarray(from, to);
    const bytes = codec === "f32" ? bytesOf(piece) : new Uint8Array(pieceBytes(codec, values.length, from));
    if (codec !== "f32") {
      CODECS[codec].encode(piece, bytes);
      CODECS[codec].decode(bytes, heard.subarray(from, to));
    }
    pieces.push({ from, bytes });
    from = to;
  } while (from < values.length);
  const hash = createHash("sha256");
  for (const { bytes } of pieces) hash.update(bytes);
  return { values: heard, pieces, sha256: hash.digest("hex") };
}

/** How long the piece is that begins at `from`, of `length` values in all. */
export function pieceBytes(codec: SumCodec, length: number, from: number): number {
  return CODECS[codec].encodedBytes(Math.min(SUM_PART_VALUES, length - from));
}

/** A piece whose length is right, as values. */
export function decodeInto(codec: SumCodec, bytes: Uint8Array, into: Activations): void {
  CODECS[codec].decode(bytes, into);
}

function withinF16(values: Activations): Activations {
  if (!values.some((value) => Math.abs(value) > LARGEST_F16)) return values;
  return values.map((value) => Math.max(-LARGEST_F16, Math.min(LARGEST_F16, value)));
}

function bytesOf({ buffer, byteOffset, byteLength }: Activations): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** One after another. */
export function joined(arrays: readonly Activations[]): Activations {
  const [first] = arrays;
  if (arrays.length === 1 && first !== undefined) return first;
  const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}
