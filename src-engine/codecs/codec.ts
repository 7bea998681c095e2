import { Failure } from "../../src-protocol/failure.ts";

/**
 * How a tensor's float32 values travel. Every codec is a pure function of its input: two nodes that
 * encode equal values (with equal streams) get equal bytes, so a digest of them can be checked.
 * Whatever the bytes, decoding ends and gives `into.length` numbers. A value that is not a number
 * stays one or makes its block so: a run that diverged must not look sound on the other side.
 */
export interface Codec {
  readonly name: string;
  /** Bytes of `count` encoded values. */
  encodedBytes(count: number): number;
  /**
   * Fills `into`, of exactly `encodedBytes(values.length)` bytes at any alignment.
   *
   * Without `random` each value is rounded to the nearest, ties to even. With it rounding is
   * stochastic and its mean is the value (to 2⁻¹⁷ of a step), as gradients need: errors that always
   * point the same way add up over steps, others cancel. A codec draws from `random` once.
   *
   * @throws Failure `codec-length` when `into` has another length
   */
  encode(values: Float32Array, into: Uint8Array, random?: () => number): void;
  /**
   * Fills `into` from `bytes`, of exactly `encodedBytes(into.length)`.
   *
   * @throws Failure `codec-length` when `bytes` has another length
   */
  decode(bytes: Uint8Array, into: Float32Array): void;
}

// SECURITY: the loops below trust their lengths; bytes come from a stranger.
export function checkLength(codec: Codec, bytes: Uint8Array, count: number): void {
  const due = codec.encodedBytes(count);
  if (bytes.byteLength === due) return;
  throw new Failure(
    "codec-length",
    `${count} values in ${codec.name} are ${due} bytes, not ${bytes.byteLength}. ` +
      "The two ends disagree about the tensor's shape or codec; nothing of it was used.",
  );
}
