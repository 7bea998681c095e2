import { Failure } from "../../src-protocol/failure.ts";
import { composite, float } from "../operator.ts";
import type { Tensor } from "../tensor.ts";
import { keptWhere, zero } from "./elementwise.ts";

/** `α·(eˣ − 1)` below 0, by the operator that never computes a power it does not use. */
function elu(x: Tensor, alpha: number): Tensor {
  return x.graph.apply("Elu", [x], { alpha });
}

/** Activations that are put together of pieces. */
export const piecewise = {
  /** `γ·x` above 0, `γ·α·(eˣ − 1)` below (arXiv:1706.02515). */
  Selu: composite({
    inputs: 1,
    attributes: { alpha: float(1.6732632423543772), gamma: float(1.0507009873554805) },
    expand: ({ inputs: [x], attributes: { alpha, gamma } }) => elu(x, alpha).mul(gamma),
  }),
  /** `x` above 0, `α·(e^(x/α) − 1)` below (arXiv:1704.07483). */
  Celu: composite({
    inputs: 1,
    attributes: { alpha: float(1) },
    expand: ({ inputs: [x], attributes: { alpha } }) => {
      if (!(alpha > 0)) throw new Failure("bad-node", `A Celu with alpha ${alpha}, which must be above 0.`);
      return elu(x.mul(1 / alpha), 1).mul(alpha);
    },
  }),
  /** `x` above α, else 0. */
  ThresholdedRelu: composite({
    inputs: 1,
    attributes: { alpha: float(1) },
    expand: ({ inputs: [x], attributes: { alpha } }) => keptWhere(x.greater(alpha), x),
  }),
  /** `x / (1 + |x|)`. */
  Softsign: composite({
    inputs: 1,
    expand: ({ inputs: [x] }): Tensor => x.div(x.graph.apply("Abs", [x]).add(1)),
  }),
  /** 0 within ±λ, else `x` moved towards 0 by the bias. */
  Shrink: composite({
    inputs: 1,
    attributes: { bias: float(0), lambd: float(0.5) },
    expand: ({ inputs: [x], attributes: { bias, lambd } }) =>
      x.greater(lambd).where(x.sub(bias), x.less(-lambd).where(x.add(bias), zero(x))),
  }),
};
