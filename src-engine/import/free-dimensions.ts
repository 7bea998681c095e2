import type { TensorShapeProto_Dimension } from "../onnx_pb.js";
import { decodeModel } from "./model-bytes.ts";

/** A dimension whose size the file leaves open. */
export interface FreeDimension {
  /** The name by which `ImportOptions.sizes` gives its size. */
  name: string;
  input: string;
  axis: number;
}

/** The dimensions that need a size before the model can be imported, each name once. */
export function freeDimensions(bytes: Uint8Array): FreeDimension[] {
  const { graph } = decodeModel(bytes);
  const stored = new Set(graph.initializer.map(({ name }) => name));
  const found = new Map<string, FreeDimension>();
  for (const { name: input, type } of graph.input) {
    if (stored.has(input) || type?.value.case !== "tensorType") continue;
    for (const [axis, dim] of (type.value.value.shape?.dim ?? []).entries()) {
      const name = freeName(input, dim, axis);
      if (name !== null && !found.has(name)) found.set(name, { name, input, axis });
    }
  }
  return [...found.values()];
}

/** null: the file says the size. */
export function freeName(input: string, { value }: TensorShapeProto_Dimension, axis: number): string | null {
  if (value.case === "dimValue" && value.value > 0n) return null;
  return value.case === "dimParam" && value.value !== "" ? value.value : `${input}[${axis}]`;
}
