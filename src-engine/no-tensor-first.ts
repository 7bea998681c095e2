import { create, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TypeProto_SequenceSchema,
  ValueInfoProtoSchema,
} from "./onnx_pb.js";
import { ELEMENT_TYPES } from "./element-type.ts";
import type { Graph } from "./graph.ts";

/** The name of the output; no tensor of a model is called so. */
export const NO_TENSOR = "no tensor";

/**
 * The graph with one output before its own that is no tensor: an empty sequence. Messages of protobuf that stand one
 * after the other are one, their lists joined, so nothing of the file is read or written anew.
 *
 * @returns null: it has something of that name itself
 */
export function withNoTensorFirst(graph: Graph): Graph | null {
  if (graph.inputs.includes(NO_TENSOR) || graph.outputs.includes(NO_TENSOR)) return null;
  const bytes = new Uint8Array(PREFIX.length + graph.bytes.length);
  bytes.set(PREFIX);
  bytes.set(graph.bytes, PREFIX.length);
  return { ...graph, bytes, outputs: [NO_TENSOR, ...graph.outputs] };
}

const tensor = { case: "tensorType" as const, value: { elemType: ELEMENT_TYPES.float32.onnx } };
const sequence = create(TypeProto_SequenceSchema, { elemType: { value: tensor } });
const PREFIX = toBinary(
  ModelProtoSchema,
  create(ModelProtoSchema, {
    graph: create(GraphProtoSchema, {
      node: [create(NodeProtoSchema, { opType: "SequenceEmpty", name: NO_TENSOR, output: [NO_TENSOR] })],
      output: [
        create(ValueInfoProtoSchema, {
          name: NO_TENSOR,
          type: { value: { case: "sequenceType", value: sequence } },
        }),
      ],
    }),
  }),
);
