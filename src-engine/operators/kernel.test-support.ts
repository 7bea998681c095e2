import { create, toBinary } from "@bufbuild/protobuf";
import { ELEMENT_TYPES, encodeNumbers } from "../element-type.ts";
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "../onnx_pb.js";
import type { AttributeTypes, AttributeValue } from "../operator.ts";
import { OPERATORS, type OperatorName } from "../operators.ts";
import type { Tensor } from "../tensor.ts";

process.env["ORT_DISABLE_TELEMETRY"] = "1";
const ort = await import("onnxruntime-node");

/** The newest operator sets, in which every operator of the table exists. */
const OPSET_VERSION = 24n;

export interface Result {
  shape: readonly number[];
  data: Float64Array;
}

/**
 * What ONNX Runtime's own operator gives, in float32: an operator that the engine writes in others
 * must mean the same. Constants of `inputs` are initializers, the others are fed by position.
 */
export async function runKernel(
  op: OperatorName,
  inputs: readonly Tensor[],
  attributes: Readonly<Record<string, AttributeValue>>,
  outputs: number,
  data: readonly (ArrayLike<number> | undefined)[],
): Promise<Result[]> {
  const names = inputs.map((_, i) => `x${i}`);
  const results = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const fed = inputs.flatMap((input, i) => (input.value ? [] : [[input, names[i] ?? ""] as const]));
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: "", version: OPSET_VERSION }],
    graph: create(GraphProtoSchema, {
      name: op,
      input: fed.map(([{ type, shape }, name]) => {
        const dim = shape.map((size) => ({ value: { case: "dimValue" as const, value: BigInt(size) } }));
        const value = { elemType: ELEMENT_TYPES[type].onnx, shape: { dim } };
        return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value } } });
      }),
      output: results.map((name) => create(ValueInfoProtoSchema, { name })),
      initializer: inputs.flatMap(({ type, shape, value }, i) =>
        value
          ? [
              create(TensorProtoSchema, {
                name: names[i] ?? "",
                dataType: ELEMENT_TYPES[type].onnx,
                dims: shape.map(BigInt),
                rawData: encodeNumbers(type, value),
              }),
            ]
          : [],
      ),
      node: [
        create(NodeProtoSchema, {
          opType: op,
          input: names,
          output: results,
          attribute: Object.entries(attributes).map(([name, value]) =>
            attribute(name, OPERATORS[op].attributes, value),
          ),
        }),
      ],
    }),
  });
  const session = await ort.InferenceSession.create(toBinary(ModelProtoSchema, model), {
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  const feeds = fed.map(([{ shape, type }, name]) => {
    const values = data[names.indexOf(name)] ?? [];
    const tensor =
      type === "int32"
        ? new ort.Tensor("int32", Int32Array.from(values), shape)
        : type === "int64"
          ? new ort.Tensor("int64", BigInt64Array.from(Array.from(values, BigInt)), shape)
          : new ort.Tensor("float32", Float32Array.from(values), shape);
    return [name, tensor] as const;
  });
  const found = await session.run(Object.fromEntries(feeds));
  await session.release();
  return results.map((name) => ({
    shape: found[name]?.dims ?? [],
    data: Float64Array.from((found[name]?.data ?? []) as ArrayLike<number | bigint>, Number),
  }));
}

function attribute(name: string, types: AttributeTypes, value: AttributeValue) {
  const kind = types[name]?.kind;
  if (kind === "float")
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: Number(value) });
  if (kind === "int")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(Number(value)) });
  if (kind === "string") {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(String(value)),
    });
  }
  const ints = (value as readonly number[]).map(BigInt);
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints });
}
