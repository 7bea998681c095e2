/** The element types that graphs are made of, with their numbers in ONNX's `TensorProto.DataType`. */
export const ELEMENT_TYPES = {
  float32: { onnx: 1, array: Float32Array },
  float64: { onnx: 11, array: Float64Array },
  int32: { onnx: 6, array: Int32Array },
  int64: { onnx: 7, array: BigInt64Array },
  bool: { onnx: 9, array: Uint8Array },
} as const;

export type ElementType = keyof typeof ELEMENT_TYPES;
/** The type that a graph computes in: float32 in use, float64 where gradients are checked. */
export type FloatType = "float32" | "float64";

export function elementTypeOf(onnx: number): ElementType | undefined {
  return (Object.keys(ELEMENT_TYPES) as ElementType[]).find((type) => ELEMENT_TYPES[type].onnx === onnx);
}

/** The bytes of numbers as ONNX stores them: little-endian, row-major. */
export function encodeNumbers(type: ElementType, values: readonly number[]): Uint8Array {
  const array =
    type === "int64" ? BigInt64Array.from(values.map(BigInt)) : ELEMENT_TYPES[type].array.from(values);
  return new Uint8Array(array.buffer);
}
