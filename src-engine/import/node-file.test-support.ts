import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as Kind,
  type AttributeProtoSchema,
  ModelProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "../onnx_pb.js";
import { sizeOf } from "../shape.ts";

/** A node as a file writes it, with numbers for its inputs. */
export interface Case {
  op: string;
  /** null: an optional input that is left out. */
  inputs: readonly (Operand | null)[];
  attributes?: Record<
    string,
    | number
    | readonly number[]
    | string
    | { float: number }
    | { floats: readonly number[] }
    | { texts: readonly string[] }
  >;
  opset?: number;
  outputs?: number;
}
export interface Operand {
  type: "float32" | "int64" | "int32" | "bool";
  shape: readonly number[];
  values: readonly number[];
}

const ONNX_TYPE = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;

export function numbers(shape: readonly number[], from = -1.7, step = 0.37): Operand {
  return {
    type: "float32",
    shape,
    values: Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 7) % 11) * step + from),
  };
}
export const ratios = (...values: number[]): Operand => ({ type: "float32", shape: [values.length], values });
export const positive = (...shape: number[]): Operand => numbers(shape, 0.2);
export const floats = (...shape: number[]): Operand => numbers(shape);
export const list = (...values: number[]): Operand => ({ type: "int64", shape: [values.length], values });
export const int = (value: number): Operand => ({ type: "int64", shape: [], values: [value] });
export const single = (value: number): Operand => ({ type: "float32", shape: [], values: [value] });
export const ints = (shape: readonly number[], ...values: number[]): Operand => ({
  type: "int64",
  shape,
  values,
});
export const bools = (shape: readonly number[], ...values: number[]): Operand => ({
  type: "bool",
  shape,
  values,
});

type Attribute = MessageInitShape<typeof AttributeProtoSchema>;

function attribute(name: string, value: NonNullable<Case["attributes"]>[string]): Attribute {
  if (typeof value === "number") return { name, type: Kind.INT, i: BigInt(value) };
  if (typeof value === "string") return { name, type: Kind.STRING, s: new TextEncoder().encode(value) };
  if (typeof value === "object" && "floats" in value)
    return { name, type: Kind.FLOATS, floats: [...value.floats] };
  if (typeof value === "object" && "texts" in value)
    return { name, type: Kind.STRINGS, strings: value.texts.map((each) => new TextEncoder().encode(each)) };
  if ("float" in value) return { name, type: Kind.FLOAT, f: value.float };
  return { name, type: Kind.INTS, ints: value.map(BigInt) };
}

function stored(name: string, { type, shape, values }: Operand): MessageInitShape<typeof TensorProtoSchema> {
  const data = { name, dataType: ONNX_TYPE[type], dims: shape.map(BigInt) };
  if (type === "float32") return { ...data, floatData: [...values] };
  return type === "int64" ? { ...data, int64Data: values.map(BigInt) } : { ...data, int32Data: [...values] };
}

function info(
  name: string,
  type: Operand["type"],
  shape?: readonly number[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = (shape ?? []).map((size) => ({ value: { case: "dimValue" as const, value: BigInt(size) } }));
  const value = { elemType: ONNX_TYPE[type], ...(shape ? { shape: { dim } } : {}) };
  return { name, type: { value: { case: "tensorType", value } } };
}

/**
 * The node in a file. Its results are added, as floats, to the input `extra`, so that they depend on
 * data; the first `fed` inputs of the node are inputs of the model, the others are stored in it.
 */
export function fileOf(
  { op, inputs, attributes = {}, opset = 17, outputs = 1 }: Case,
  fed: number,
): Uint8Array {
  // By this name a stored tensor is no parameter.
  const name = (i: number): string => (i < fed ? `input${i}` : `stored${i}.running_mean`);
  const results = Array.from({ length: outputs }, (_, i) => `y${i}`);
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: BigInt(opset) }],
      graph: {
        name: "case",
        input: [
          ...inputs.flatMap((each, i) => (each && i < fed ? [info(name(i), each.type, each.shape)] : [])),
          info("extra", "float32", [1]),
        ],
        output: results.map((result) => info(`sum_${result}`, "float32")),
        initializer: inputs.flatMap((each, i) => (each && i >= fed ? [stored(name(i), each)] : [])),
        node: [
          {
            opType: op,
            name: "case",
            input: inputs.map((each, i) => (each ? name(i) : "")),
            output: results,
            attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
          },
          ...results.flatMap((result) => [
            { opType: "Cast", input: [result], output: [`float_${result}`], attribute: [attribute("to", 1)] },
            { opType: "Add", input: [`float_${result}`, "extra"], output: [`sum_${result}`] },
          ]),
        ],
      },
    }),
  );
}
