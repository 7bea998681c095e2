import { create, toBinary } from "@bufbuild/protobuf";
import { nodesBehind, producersOf } from "./cut-cost.ts";
import { ELEMENT_TYPES, encodeNumbers } from "./element-type.ts";
import type { GraphBuilder, Node } from "./graph-builder.ts";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx_pb.js";
import type { AttributeTypes, AttributeValue, OperatorTable } from "./operator.ts";
import type { Tensor } from "./tensor.ts";

/** What is written: IR 10 and opset 21 are read by every ONNX Runtime from 1.18 on. */
const IR_VERSION = 10n;
const OPSET_VERSION = 21n;

/**
 * Writes the part of a graph that `outputs` (name → tensor) depend on as an ONNX model. All of
 * `inputs` are kept, so that a caller may always feed the same set; unused nodes and constants are
 * not. A result of a node may be an input: then it is fed, and what computes it is left out.
 */
export function encodeModel(
  graph: GraphBuilder,
  outputs: Readonly<Record<string, Tensor>>,
  inputs: ReadonlyMap<Tensor, string> = graph.inputs,
): Uint8Array {
  const nodes = nodesBehind(producersOf(graph.nodes), Object.values(outputs), new Set(inputs.keys()));
  const used = new Set([...nodes.flatMap(({ inputs }) => inputs), ...Object.values(outputs)]);
  const names = new Map(inputs);
  const copies: NodeProto[] = [];
  const computed = new Set(nodes.flatMap((node) => node.outputs));
  for (const [name, tensor] of Object.entries(outputs)) {
    // A tensor gets the output's own name; one that has a name already is copied.
    if (computed.has(tensor) && !names.has(tensor)) names.set(tensor, name);
    else
      copies.push(
        create(NodeProtoSchema, { opType: "Identity", name, input: [nameOf(tensor)], output: [name] }),
      );
  }
  function nameOf(tensor: Tensor): string {
    return names.get(tensor) ?? `t${tensor.id}`;
  }
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "train-at-home",
    opsetImport: [
      { domain: "", version: OPSET_VERSION },
      { domain: "com.microsoft", version: 1n },
    ],
    graph: create(GraphProtoSchema, {
      name: "stage",
      input: [...inputs].map(([tensor, name]) => valueInfo(name, tensor)),
      output: Object.entries(outputs).map(([name, tensor]) => valueInfo(name, tensor)),
      initializer: graph.constants
        .filter((each) => used.has(each))
        .map((each) => initializer(nameOf(each), each)),
      node: [...nodes.map((node) => nodeProto(graph.operators, node, nameOf)), ...copies],
    }),
  });
  return toBinary(ModelProtoSchema, model);
}

function nodeProto(
  operators: OperatorTable,
  { name, op, inputs, outputs, attributes }: Node,
  nameOf: (tensor: Tensor) => string,
): NodeProto {
  const { domain = "", attributes: types = {} } = operators[op] ?? {};
  return create(NodeProtoSchema, {
    name,
    opType: op,
    domain,
    input: inputs.map(nameOf),
    output: outputs.map(nameOf),
    attribute: Object.entries(attributes)
      // An empty list stands for the operator's own default, which ONNX says by leaving it out.
      .filter(([, value]) => !Array.isArray(value) || value.length > 0)
      .map(([key, value]) => attributeProto(key, types, value)),
  });
}

function attributeProto(name: string, types: AttributeTypes, value: AttributeValue): AttributeProto {
  switch (types[name]?.kind) {
    case "float":
      return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: Number(value) });
    case "ints":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.INTS,
        ints: [value].flat().map(BigInt),
      });
    case "string":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.STRING,
        s: new TextEncoder().encode(String(value)),
      });
    default:
      return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(Number(value)) });
  }
}

function valueInfo(name: string, { type, shape }: Tensor): ValueInfoProto {
  const dim = shape.map((size) => ({ value: { case: "dimValue" as const, value: BigInt(size) } }));
  const value = { elemType: ELEMENT_TYPES[type].onnx, shape: { dim } };
  return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value } } });
}

function initializer(name: string, { type, shape, value }: Tensor): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType: ELEMENT_TYPES[type].onnx,
    dims: shape.map(BigInt),
    rawData: encodeNumbers(type, value ?? []),
  });
}
