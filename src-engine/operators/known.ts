import { Failure } from "../../src-protocol/failure.ts";
import type { Tensor } from "../tensor.ts";

/** The numbers of an input that ONNX takes as a tensor and that must be known when building. */
export function known(tensor: Tensor): readonly number[] {
  if (tensor.value) return tensor.value;
  throw new Failure(
    "bad-shape",
    "A shape, size or axis is computed by the graph. Fix it to a constant: shapes are static.",
  );
}
