import { createHash } from "node:crypto";
import { CODECS } from "../../src-engine/codecs/codecs.ts";
import type { SumCodec } from "../../src-protocol/link-codecs.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { Activations } from "../compute/compute-call.ts";

/** Values of a sum as they travel, and as everybody has them who got them: their maker too. */
export interface CodedSum {
  /** Its addends, as they were given. */
  readonly addends: readonly Activations[];
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
 * One addend after another. No piece has values of two of them, so that in `f32` all of it is the addends' own
 * memory: those of the class `exact` are as many gradients as a replica has counted micro-batches.
 */
export function codedSum(codec: SumCodec, addends: readonly Activations[]): CodedSum {
  const coded: Activations[] = [];
  const pieces: SumPiece[] = [];
  let from = 0;
  for (const values of addends) {
    const { heard, bytes } = codedAddend(codec, values);
    coded.push(heard);
    for (const each of bytes) pieces.push({ from: from + each.from, bytes: each.bytes });
    from += values.length;
  }
  const hash = createHash("sha256");
  for (const { bytes } of pieces) hash.update(bytes);
  return { addends: coded, pieces, sha256: hash.digest("hex") };
}

/**
 * Pieces of `SUM_PART_VALUES` values, each encoded by itself, to the nearest: what that leaves out is for
 * `RoundingRest`. What `f16` has no room for becomes its largest number.
 */
function codedAddend(
  codec: SumCodec,
  values: Activations,
): { readonly heard: Activations; readonly bytes: readonly SumPiece[] } {
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
  return { heard, bytes: pieces };
}

/** How long the piece is that begins at `from`, of an addend of `length` values. */
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
