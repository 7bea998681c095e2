import { fromBinary } from "@bufbuild/protobuf";
import { Failure } from "../../src-protocol/failure.ts";
import { type GraphProto, type ModelProto, ModelProtoSchema, type NodeProto } from "../onnx_pb.js";
import { readsOf } from "./branches.ts";
import { writeOutFunctions } from "./functions.ts";
import { printable } from "../printable.ts";
import { IMPORT_LIMITS } from "./limits.ts";
import { restoreBiases } from "./restored-biases.ts";
import { storeConstantWeights } from "./stored-constants.ts";

/** An ONNX file as it lies there, with what every later step relies on checked. */
export interface ModelFile {
  model: ModelProto;
  graph: GraphProto;
  /** Version of the default operator set. */
  opset: number;
}

const OPSETS = { oldest: 7, newest: 25 };

/**
 * Decodes an ONNX file. Tensors stay views of `bytes`; functions are written out, and weights in
 * `Constant` nodes are stored tensors.
 *
 * @throws Failure `model-too-large`, `bad-model-file` or `unsupported-opset`
 */
export function decodeModel(bytes: Uint8Array): ModelFile {
  if (bytes.length > IMPORT_LIMITS.fileBytes) tooLarge("bytes", bytes.length, IMPORT_LIMITS.fileBytes);
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  } catch (cause) {
    throw new Failure(
      "bad-model-file",
      "This is not an ONNX model, or it is damaged: its parts cannot be read. Export it again.",
      { cause },
    );
  }
  const { graph } = model;
  if (!graph || graph.node.length === 0) {
    throw new Failure("bad-model-file", "This file holds no ONNX graph. Export the model again.");
  }
  if (graph.node.length > IMPORT_LIMITS.nodes) tooLarge("nodes", graph.node.length, IMPORT_LIMITS.nodes);
  if (graph.initializer.length > IMPORT_LIMITS.initializers)
    tooLarge("stored tensors", graph.initializer.length, IMPORT_LIMITS.initializers);
  for (const { input, output } of graph.node) {
    const most = Math.max(input.length, output.length);
    if (most > IMPORT_LIMITS.inputsPerNode) tooLarge("inputs of one node", most, IMPORT_LIMITS.inputsPerNode);
  }
  const version = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version;
  const opset = Number(version ?? 0n);
  if (opset < OPSETS.oldest || opset > OPSETS.newest) {
    throw new Failure(
      "unsupported-opset",
      `The model is written for ONNX operator set ${opset}; ${OPSETS.oldest} to ${OPSETS.newest} are read. ` +
        "Export it again with a version between them, for example opset_version=17.",
    );
  }
  writeOutFunctions(model);
  storeConstantWeights(graph);
  restoreBiases(graph);
  return { model, graph, opset };
}

/** The nodes that `outputs` depend on, in the file's order. */
export function neededNodes(graph: GraphProto, outputs: readonly string[]): NodeProto[] {
  const needed = new Set(outputs);
  const nodes = graph.node.toReversed().filter((node) => {
    if (!node.output.some((name) => name !== "" && needed.has(name))) return false;
    for (const name of readsOf(node)) needed.add(name);
    return true;
  });
  return nodes.reverse();
}

/** Never empty: what messages call a node. */
export function nodeName({ name, opType, output }: NodeProto): string {
  return printable(name || `${opType} of ${output[0] ?? "?"}`);
}

/** The name, after the module of the model that the node was exported from, where the file says it. */
export function nodePlace(node: NodeProto): string {
  const name = nodeName(node);
  const scopes = node.metadataProps.find(({ key }) => key === "pkg.torch.onnx.name_scopes")?.value ?? "";
  // "['', 'blocks.0', 'blocks.0.qkv', 'linear']": the last one is the operation itself.
  const module = [...scopes.slice(0, 2000).matchAll(/'([^']*)'/g)].at(-2)?.[1] ?? "";
  return module === "" ? name : `${printable(module)}/${name}`;
}

function tooLarge(what: string, found: number, most: number): never {
  throw new Failure("model-too-large", `The model has ${found} ${what}; at most ${most} are taken.`);
}
