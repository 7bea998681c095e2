import { Failure } from "../../src-protocol/failure.ts";
import type { FloatType } from "../element-type.ts";
import { type TensorProto, TensorProto_DataLocation as Location } from "../onnx_pb.js";
import { sizeOf } from "../shape.ts";
import { elementTypeIn, fromBrain, fromHalf, STORED } from "./element-types.ts";
import { externalPath, type ReadExternal } from "./external-data.ts";
import { type Known, known } from "./known.ts";
import { type ConstantBudget, checkedShape } from "./limits.ts";

/**
 * The numbers of a tensor of the file, as an array of its own. `what` names it in messages.
 *
 * @throws Failure `bad-model-file` when its bytes are not as many as its shape needs
 */
export function tensorNumbers(what: string, tensor: TensorProto, readExternal?: ReadExternal): Float64Array {
  const bytes = storedBytes(what, tensor, readExternal);
  const stored = STORED[tensor.dataType];
  if (!bytes || !stored) return Float64Array.from(typedNumbers(tensor));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.byteLength / stored.bytes;
  return Float64Array.from({ length: count }, (_, i) => stored.decode(view, i * stored.bytes));
}

/** A tensor that is used while importing: indices, shapes, small tables. */
export function readTensor(
  what: string,
  tensor: TensorProto,
  float: FloatType,
  budget: ConstantBudget,
  readExternal?: ReadExternal,
): Known {
  const type = elementTypeIn(tensor.dataType, float);
  const shape = checkedShape(what, tensor.dims);
  budget.take(sizeOf(shape));
  return known(type, shape, [...tensorNumbers(what, tensor, readExternal)]);
}

/**
 * Whether the tensor holds, or says where there are, as many numbers as its shape needs. Nothing is
 * read: what is wrong is said when a model is imported, not when its parameters are loaded.
 */
export function checkStored(what: string, tensor: TensorProto): void {
  const { bytes, count } = storage(what, tensor);
  if (tensor.dataLocation === Location.EXTERNAL) externalPart(what, tensor, bytes);
  else if (!isRaw(tensor) && typedNumbers(tensor).length !== count)
    wrongSize(what, `${typedNumbers(tensor).length} numbers`, count);
  else if (isRaw(tensor) && tensor.rawData.length !== bytes)
    wrongSize(what, `${tensor.rawData.length} bytes`, bytes);
}

function storage(what: string, tensor: TensorProto): { bytes: number; count: number } {
  const stored = STORED[tensor.dataType];
  if (!stored)
    throw new Failure("unsupported-type", `${what} has an element type that the engine does not read.`);
  const count = sizeOf(checkedShape(what, tensor.dims));
  return { bytes: count * stored.bytes, count };
}

function isRaw(tensor: TensorProto): boolean {
  return tensor.rawData.length > 0 || (typedNumbers(tensor).length === 0 && tensor.dims.includes(0n));
}

/** The bytes of the tensor, from this file or from an external one; null: it holds typed numbers. */
function storedBytes(
  what: string,
  tensor: TensorProto,
  readExternal: ReadExternal | undefined,
): Uint8Array | null {
  checkStored(what, tensor);
  if (tensor.dataLocation === Location.EXTERNAL) return externalBytes(what, tensor, readExternal);
  return isRaw(tensor) ? tensor.rawData : null;
}

interface ExternalPart {
  location: string;
  offset: number;
  length: number;
}

function externalPart(what: string, tensor: TensorProto, expected: number): ExternalPart {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = externalPath(entries.get("location") ?? "").join("/");
  const offset = Number(entries.get("offset") ?? 0);
  const length = Number(entries.get("length") ?? expected);
  if (!Number.isSafeInteger(offset) || offset < 0 || length !== expected) {
    throw new Failure(
      "bad-model-file",
      `${what} lies in "${location}" from byte ${offset} on and has ${length} bytes there, ` +
        `but its shape needs ${expected} bytes. The file is damaged: export it again.`,
    );
  }
  return { location, offset, length };
}

function externalBytes(
  what: string,
  tensor: TensorProto,
  readExternal: ReadExternal | undefined,
): Uint8Array {
  const { location, offset, length } = externalPart(what, tensor, storage(what, tensor).bytes);
  if (!readExternal) {
    throw new Failure(
      "external-data",
      `${what} lies in another file, "${location}", which was not given with the model. ` +
        "Keep both files in one folder, as they were exported.",
    );
  }
  const bytes = readExternal(location, offset, length);
  if (bytes.length !== length) wrongSize(what, `${bytes.length} bytes in "${location}"`, length);
  return bytes;
}

function typedNumbers(tensor: TensorProto): ArrayLike<number> & Iterable<number> {
  switch (tensor.dataType) {
    case 1:
      return tensor.floatData;
    case 7:
      return tensor.int64Data.map(Number);
    case 10:
      return tensor.int32Data.map(fromHalf);
    case 11:
      return tensor.doubleData;
    case 12:
    case 13:
      return tensor.uint64Data.map(Number);
    case 16:
      return tensor.int32Data.map(fromBrain);
    default:
      return tensor.int32Data;
  }
}

function wrongSize(what: string, found: string, expected: number): never {
  throw new Failure(
    "bad-model-file",
    `${what} holds ${found}, but its shape needs ${expected}. The file is damaged or cut off: export it again.`,
  );
}

/** The numbers of a parameter in float32. Little-endian, as every machine that runs this is. */
export function tensorFloats(what: string, tensor: TensorProto, readExternal?: ReadExternal): Float32Array {
  const bytes = tensor.dataType === 1 ? storedBytes(what, tensor, readExternal) : null;
  // A copy: the bytes may lie anywhere in the file, and the parameter will be trained in place.
  if (bytes) return new Float32Array(new Uint8Array(bytes).buffer);
  return Float32Array.from(tensorNumbers(what, tensor, readExternal));
}

/**
 * The first `count` numbers of a tensor in float32, and all of it if it has no more. Of one that is
 * larger than memory only these are read.
 */
export function firstFloats(
  what: string,
  tensor: TensorProto,
  count: number,
  readExternal?: ReadExternal,
): Float32Array {
  const stored = STORED[tensor.dataType];
  const size = sizeOf(checkedShape(what, tensor.dims));
  if (size <= count || !stored) return tensorFloats(what, tensor, readExternal);
  checkStored(what, tensor);
  return Float32Array.from({ length: count }, floatsAt(what, tensor, count, readExternal));
}

/** One number of a tensor, in float32. */
export function floatAt(
  what: string,
  tensor: TensorProto,
  index: number,
  readExternal?: ReadExternal,
): number {
  const stored = STORED[tensor.dataType];
  if (!stored) return 0;
  if (tensor.dataLocation !== Location.EXTERNAL) return floatsAt(what, tensor, index + 1)(undefined, index);
  const { bytes } = storage(what, tensor);
  const { location, offset } = externalPart(what, tensor, bytes);
  const found = readExternal?.(location, offset + index * stored.bytes, stored.bytes);
  if (found?.length !== stored.bytes) return 0;
  return Math.fround(stored.decode(new DataView(found.buffer, found.byteOffset, found.byteLength), 0));
}

/** The first `count` numbers, by their index. */
function floatsAt(
  what: string,
  tensor: TensorProto,
  count: number,
  readExternal?: ReadExternal,
): (_: unknown, index: number) => number {
  const stored = STORED[tensor.dataType];
  if (!stored || (tensor.dataLocation !== Location.EXTERNAL && !isRaw(tensor))) {
    const numbers = typedNumbers(tensor);
    return (_, index) => Math.fround(numbers[index] ?? 0);
  }
  const bytes = ((): Uint8Array => {
    if (tensor.dataLocation !== Location.EXTERNAL) return tensor.rawData;
    const { location, offset } = externalPart(what, tensor, storage(what, tensor).bytes);
    return readExternal?.(location, offset, count * stored.bytes) ?? new Uint8Array();
  })();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (_, index) =>
    (index + 1) * stored.bytes <= bytes.length ? Math.fround(stored.decode(view, index * stored.bytes)) : 0;
}
