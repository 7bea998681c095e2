import type { Dtype } from "./safetensors.ts";

/** Types that parameters may have; they train as float32. */
const NUMBERS = ["F32", "F16", "BF16", "F64"] as const;
export type NumberType = (typeof NUMBERS)[number];

export function isNumberType(dtype: Dtype): dtype is NumberType {
  return (NUMBERS as readonly Dtype[]).includes(dtype);
}

export const NUMBER_BYTES: Readonly<Record<NumberType, number>> = { F32: 4, F16: 2, BF16: 2, F64: 8 };

/** Little-endian bytes as float32. */
export function decodeNumbers(dtype: NumberType, given: Uint8Array): Float32Array {
  const bytes = given.byteOffset % NUMBER_BYTES[dtype] === 0 ? given : given.slice();
  const count = bytes.length / NUMBER_BYTES[dtype];
  const { buffer, byteOffset } = bytes;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, byteOffset, count);
    case "F16":
      return Float32Array.from(new Float16Array(buffer, byteOffset, count));
    case "F64":
      return Float32Array.from(new Float64Array(buffer, byteOffset, count));
    case "BF16": {
      // The upper half of a float32.
      const halves = new Uint16Array(buffer, byteOffset, count);
      const bits = new Uint32Array(count);
      for (let i = 0; i < count; i++) bits[i] = (halves[i] as number) << 16;
      return new Float32Array(bits.buffer);
    }
  }
}

/** The nearest values of the type, ties to even. */
export function encodeNumbers(dtype: NumberType, values: Float32Array): Uint8Array {
  switch (dtype) {
    case "F32":
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    case "F16":
      return new Uint8Array(Float16Array.from(values).buffer);
    case "F64":
      return new Uint8Array(Float64Array.from(values).buffer);
    case "BF16": {
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      const halves = new Uint16Array(values.length);
      for (let i = 0; i < halves.length; i++) {
        const all = bits[i] as number;
        halves[i] = (all + 0x7fff + ((all >>> 16) & 1)) >>> 16;
      }
      return new Uint8Array(halves.buffer);
    }
  }
}
