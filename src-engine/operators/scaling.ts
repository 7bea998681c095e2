import { Failure } from "../../src-protocol/failure.ts";
import { composite, float, int } from "../operator.ts";
import type { Tensor } from "../tensor.ts";
import { listable } from "./known.ts";
import { sumsOf } from "./selection.ts";

/** The norm along an axis, which stays with size 1. */
function norm(x: Tensor, axis: number, p: number): Tensor {
  if (p !== 1 && p !== 2) throw new Failure("bad-node", `A norm of order ${p}; ONNX has 1 and 2.`);
  return x.graph.apply(p === 1 ? "ReduceL1" : "ReduceL2", [x, x.graph.indices([axis])]);
}

/** Elements divided by the size of what is around them. */
export const scaling = {
  /** `x` divided by its norm of order p along an axis; where that is 0, nothing is divided. */
  LpNormalization: composite({
    inputs: 1,
    attributes: { axis: int(-1), p: int(2) },
    expand: ({ inputs: [x], attributes: { axis, p } }) => {
      const size = norm(x, axis, p);
      return x.div(size.equal(0).where(x.graph.constant(x.type, [], [1]), size));
    },
  }),
  /** `x / (bias + α/size · Σ x²)^β`, where the sum is over `size` neighbouring channels. */
  LRN: composite({
    inputs: 1,
    attributes: { alpha: float(1e-4), beta: float(0.75), bias: float(1), size: int(0) },
    expand: ({ inputs: [x], attributes: { alpha, beta, bias, size } }) => {
      const channels = x.dim(1);
      if (!(size >= 1) || ![alpha, beta, bias].every(Number.isFinite))
        throw new Failure(
          "bad-node",
          `A local normalisation over ${size} channels with alpha ${alpha}, beta ${beta} and bias ${bias}.`,
        );
      listable("A local normalisation", channels * Math.min(size, channels));
      const neighbours = Array.from({ length: channels }, (_, channel) => {
        const first = Math.max(0, channel - Math.floor((size - 1) / 2));
        const last = Math.min(channels - 1, channel + Math.ceil((size - 1) / 2));
        return Array.from({ length: last - first + 1 }, (_, i) => first + i);
      });
      return x.div(
        sumsOf(x.mul(x), 1, neighbours)
          .mul(alpha / size)
          .add(bias)
          .pow(beta),
      );
    },
  }),
};
