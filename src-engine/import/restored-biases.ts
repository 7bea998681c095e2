import { create } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type NodeProto,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "../onnx_pb.js";
import { FX_NODE, KIND, operandsOf, type Signature, signatureOf } from "./signature.ts";

/**
 * PyTorch's exporter leaves a bias that is 0 out of its product. Where the file lists it as a parameter and
 * names it as the product's operand, it is put back, so that it trains and is in the written file.
 */
export function restoreBiases(graph: GraphProto): void {
  const signature = signatureOf(graph);
  if (signature === null) return;
  const missing = missingBiases(graph, signature);
  if (missing.size === 0) return;
  const matrices = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const added = new Map<string, bigint>();
  const sums = summedOperations(graph);
  graph.node = graph.node.flatMap((node) => {
    const isGemm = node.opType === "Gemm" && (node.input[2] ?? "") === "";
    if (!isGemm && (node.opType !== "MatMul" || sums.has(operationOf(node)))) return [node];
    const weights = matrices.get(node.input[1] ?? "");
    const names = operandsOf(node).flatMap((operand) => signature.targets.get(operand) ?? []);
    const [bias, second] = names.filter((name) => missing.has(name));
    const isTransposed = node.attribute.some(({ name, i }) => name === "transB" && i === 1n);
    const size = weights?.dims[isTransposed ? 0 : 1];
    const fits = weights !== undefined && weights.dims.length === 2 && size !== undefined && size > 0n;
    if (
      bias === undefined ||
      second !== undefined ||
      !fits ||
      size > MOST_NUMBERS ||
      (added.get(bias) ?? size) !== size
    )
      return [node];
    // The steps of a loop read one.
    if (!added.has(bias)) store(graph, bias, weights.dataType, size);
    added.set(bias, size);
    if (isGemm) {
      node.input = [node.input[0] ?? "", node.input[1] ?? "", bias];
      return [node];
    }
    const [output = ""] = node.output;
    const product = `${output}@product`;
    node.output = [product];
    const { metadataProps } = node;
    const sum = {
      opType: "Add",
      name: `${node.name}@bias`,
      input: [product, bias],
      output: [output],
      metadataProps,
    };
    return [node, create(NodeProtoSchema, sum)];
  });
}

const BYTES: Readonly<Record<number, number>> = { 1: 4, 10: 2, 11: 8, 16: 2 };
/** A file of a few bytes must not ask for more. */
const MOST_NUMBERS = 1_000_000n;

/** Parameters called "bias" that the file lists, and that no stored tensor is or was computed from. */
function missingBiases(graph: GraphProto, { kinds, foldedFrom, stored }: Signature): ReadonlySet<string> {
  const there = new Set([
    ...graph.initializer.map(({ name }) => name),
    ...stored.keys(),
    ...[...foldedFrom.values()].flat(),
  ]);
  return new Set(
    [...kinds].flatMap(([name, kind]) =>
      kind === "PARAMETER" && /(^|\.)(\w*_)?bias$/.test(name) && !there.has(name) ? [name] : [],
    ),
  );
}

function operationOf({ metadataProps }: NodeProto): string {
  return metadataProps.find(({ key }) => key === FX_NODE)?.value ?? "";
}

/** Operations that an Add belongs to: they have their bias. */
function summedOperations(graph: GraphProto): ReadonlySet<string> {
  return new Set(graph.node.flatMap((node) => (node.opType === "Add" ? [operationOf(node)] : [])));
}

function store(graph: GraphProto, name: string, dataType: number, size: bigint): void {
  const bytes = BYTES[dataType] ?? 4;
  const rawData = new Uint8Array(Number(size) * bytes);
  graph.initializer.push(create(TensorProtoSchema, { name, dataType, dims: [size], rawData }));
  const dim = [{ value: { case: "dimValue" as const, value: size } }];
  graph.valueInfo.push(
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: { case: "tensorType", value: { elemType: dataType, shape: { dim } } },
      }),
      metadataProps: [create(StringStringEntryProtoSchema, { key: KIND, value: "PARAMETER" })],
    }),
  );
}
