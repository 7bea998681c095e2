import { Failure } from "../../src-protocol/failure.ts";
import type { ElementType, FloatType } from "../element-type.ts";

/**
 * How a file's element types (`TensorProto.DataType`) are read. Half-precision and double models
 * become models in the graph's own float type; small integers become int32.
 */
const READ_AS: Readonly<Record<number, ElementType | "float">> = {
  1: "float",
  2: "int32",
  3: "int32",
  4: "int32",
  5: "int32",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float",
  11: "float",
  12: "int64",
  13: "int64",
  16: "float",
};

/** @throws Failure `unsupported-type` for texts, complex numbers and 4- and 8-bit floats */
export function elementTypeIn(onnx: number, float: FloatType): ElementType {
  const found = READ_AS[onnx];
  if (found === undefined) {
    throw new Failure(
      "unsupported-type",
      `The model has a tensor of ONNX element type ${onnx}, which the engine does not train. ` +
        "Export the model in float32, float16 or bfloat16, without quantisation.",
    );
  }
  return found === "float" ? float : found;
}

export function isFloat(type: ElementType): type is FloatType {
  return type === "float32" || type === "float64";
}

type Decode = (view: DataView, offset: number) => number;

/** How an element is stored in `raw_data` and in external data: little-endian. */
export const STORED: Readonly<Record<number, { bytes: number; decode: Decode }>> = {
  1: { bytes: 4, decode: (view, at) => view.getFloat32(at, true) },
  2: { bytes: 1, decode: (view, at) => view.getUint8(at) },
  3: { bytes: 1, decode: (view, at) => view.getInt8(at) },
  4: { bytes: 2, decode: (view, at) => view.getUint16(at, true) },
  5: { bytes: 2, decode: (view, at) => view.getInt16(at, true) },
  6: { bytes: 4, decode: (view, at) => view.getInt32(at, true) },
  7: { bytes: 8, decode: (view, at) => Number(view.getBigInt64(at, true)) },
  9: { bytes: 1, decode: (view, at) => view.getUint8(at) },
  10: { bytes: 2, decode: (view, at) => fromHalf(view.getUint16(at, true)) },
  11: { bytes: 8, decode: (view, at) => view.getFloat64(at, true) },
  12: { bytes: 4, decode: (view, at) => view.getUint32(at, true) },
  13: { bytes: 8, decode: (view, at) => Number(view.getBigUint64(at, true)) },
  16: { bytes: 2, decode: (view, at) => fromBrain(view.getUint16(at, true)) },
};

/** IEEE 754 binary16. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * 2 ** -24 * fraction : sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

const scratch = new DataView(new ArrayBuffer(4));

/** bfloat16: the upper half of a float32. */
export function fromBrain(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}
