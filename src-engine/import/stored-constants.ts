import { create } from "@bufbuild/protobuf";
import { type GraphProto, type NodeProto, type TensorProto, TensorProtoSchema } from "../onnx_pb.js";

/**
 * Operators whose inputs, from the first number to the last, are weights where they are stored. Not those of
 * InstanceNormalization: exporters write a GroupNorm with ones and zeros in them.
 */
const WEIGHTS: Readonly<Record<string, readonly [number, number]>> = {
  MatMul: [0, 1],
  Gemm: [1, 2],
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Einsum: [0, 7],
  Gather: [0, 0],
  LayerNormalization: [1, 2],
  RMSNormalization: [1, 1],
  BatchNormalization: [1, 2],
  GroupNormalization: [1, 2],
  PRelu: [1, 1],
  LSTM: [1, 3],
  GRU: [1, 3],
  RNN: [1, 3],
};
/** What changes the form of a weight and not its numbers. */
const FORMS: ReadonlySet<string> = new Set([
  "Identity",
  "Transpose",
  "Cast",
  "Reshape",
  "Unsqueeze",
  "Squeeze",
]);
const PRODUCTS: ReadonlySet<string> = new Set(["MatMul", "Gemm", "Conv", "ConvTranspose"]);
const FLOATS: ReadonlySet<number> = new Set([1, 10, 11, 16]);
const DEPTH = 4;

/**
 * Some exporters write weights as `Constant` nodes. Those that a weight's place reads, as they are or in
 * another form, become stored tensors like any other; the rest stay the constants they are.
 */
export function storeConstantWeights(graph: GraphProto): void {
  if (!graph.node.some(({ opType }) => opType === "Constant")) return;
  const readers = new Map<string, { node: NodeProto; index: number }[]>();
  const makers = new Map<string, string>();
  for (const node of graph.node) {
    for (const [index, name] of node.input.entries())
      if (name !== "") readers.set(name, [...(readers.get(name) ?? []), { node, index }]);
    for (const name of node.output) makers.set(name, node.opType);
  }
  const isWeight = (name: string, depth = 0): boolean =>
    (readers.get(name) ?? []).some(({ node, index }) => {
      const places = Object.hasOwn(WEIGHTS, node.opType) ? WEIGHTS[node.opType] : undefined;
      if (places) return index >= places[0] && index <= places[1];
      if (node.opType === "Add") return PRODUCTS.has(makers.get(node.input[1 - index] ?? "") ?? "");
      return (
        FORMS.has(node.opType) && index === 0 && depth < DEPTH && isWeight(node.output[0] ?? "", depth + 1)
      );
    });
  const taken = new Set(graph.initializer.map(({ name }) => name));
  graph.node = graph.node.filter((node) => {
    const tensor = node.opType === "Constant" ? floatsOf(node) : null;
    const name = node.output[0] ?? "";
    if (tensor === null || name === "" || taken.has(name) || !isWeight(name)) return true;
    graph.initializer.push(Object.assign(create(TensorProtoSchema), tensor, { name }));
    taken.add(name);
    return false;
  });
}

function floatsOf({ attribute }: NodeProto): TensorProto | null {
  for (const { name, t, floats } of attribute) {
    if (name === "value" && t && FLOATS.has(t.dataType) && t.dims.some((size) => size > 1n))
      return t.dims.length > 1 && isZero(t) ? null : t;
    if (name === "value_floats" && floats.length > 1)
      return create(TensorProtoSchema, {
        dataType: 1,
        dims: [BigInt(floats.length)],
        floatData: [...floats],
      });
  }
  return null;
}

/** Zeros: the state that a loop begins with, not a matrix that learns. */
function isZero({ rawData }: TensorProto): boolean {
  return rawData.length > 0 && rawData.every((byte) => byte === 0);
}
