import { ELEMENT_TYPES, type ElementType } from "./element-type.ts";
import type { Graph } from "./graph.ts";

process.env["ORT_DISABLE_TELEMETRY"] = "1";
const ort = await import("onnxruntime-node");

export interface Values {
  type?: ElementType;
  shape: readonly number[];
  data: ArrayLike<number>;
}

/** Runs a graph on the CPU provider, for tests only: the engine itself does not know a runtime. */
export async function compile(
  { bytes }: Pick<Graph, "bytes">,
  // Above "basic", fusions make float32-only kernels, and float64 graphs cannot be loaded.
  graphOptimizationLevel: "basic" | "all" = "basic",
): Promise<(feeds: Readonly<Record<string, Values>>) => Promise<Record<string, Float64Array>>> {
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel,
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  return async (feeds) => {
    const tensors = Object.entries(feeds).map(([name, { type = "float64", shape, data }]) => {
      if (type === "bool") throw new RangeError(`${name}: tests feed no ${type}`);
      const array =
        type === "int64"
          ? BigInt64Array.from(Array.from(data, BigInt))
          : ELEMENT_TYPES[type].array.from(data);
      return [name, new ort.Tensor(type as "float32", array as Float32Array, shape)] as const;
    });
    const results = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(
      Object.entries(results).map(([name, { data }]) => [
        name,
        Float64Array.from(data as ArrayLike<number | bigint>, Number),
      ]),
    );
  };
}
