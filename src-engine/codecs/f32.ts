import { checkLength } from "./codec.ts";
import type { Codec } from "./codec.ts";

/** The values as they are, little-endian: 32 bits a value, no error. */
export const f32: Codec = {
  name: "f32",
  encodedBytes: (count) => 4 * count,
  encode(values, into) {
    checkLength(f32, into, values.length);
    into.set(bytesOf(values));
  },
  decode(bytes, into) {
    checkLength(f32, bytes, into.length);
    bytesOf(into).set(bytes);
  },
};

/** Every platform that ONNX Runtime is built for is little-endian. */
function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
