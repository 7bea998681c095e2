import { composite, float, primitive, text } from "../operator.ts";
import type { Tensor } from "../tensor.ts";
import { keptWhere, same } from "./elementwise.ts";

/** Φ: the normal distribution function. */
function normalDistribution(x: Tensor): Tensor {
  return x.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
}

const [TANH_SCALE, TANH_CUBE] = [Math.sqrt(2 / Math.PI), 0.044715];

/** `tanh(√(2/π)·(x + 0.044715·x³))`, which is about 2·Φ(x) − 1. */
function tanhOfGelu(x: Tensor): Tensor {
  return x.mul(x).mul(TANH_CUBE).add(1).mul(x).mul(TANH_SCALE).tanh();
}

/** What comes between matrix products. */
export const activation = {
  Sigmoid: primitive({ inputs: 1, infer: same, gradient: ({ y, dy }) => [() => dy.mul(y.sub(y.mul(y)))] }),
  Tanh: primitive({ inputs: 1, infer: same, gradient: ({ y, dy }) => [() => dy.sub(dy.mul(y.mul(y)))] }),
  /** 0 at 0. */
  Relu: primitive({
    inputs: 1,
    infer: same,
    gradient: ({ inputs: [x], dy }) => [() => keptWhere(x.greater(0), dy)],
  }),
  LeakyRelu: primitive({
    inputs: 1,
    attributes: { alpha: float(0.01) },
    infer: same,
    gradient: ({ inputs: [x], attributes: { alpha }, dy }) => [() => x.greater(0).where(dy, dy.mul(alpha))],
  }),
  /** `slope · x` below 0, with a slope that is trained. */
  PRelu: composite({
    inputs: 2,
    expand: ({ inputs: [x, slope] }) => x.greater(0).where(x, x.mul(slope)),
  }),
  /** `x` above 0, `α·(eˣ − 1)` below. */
  Elu: primitive({
    inputs: 1,
    attributes: { alpha: float(1) },
    infer: same,
    gradient: ({ inputs: [x], attributes: { alpha }, y, dy }) => [
      () => x.greater(0).where(dy, dy.mul(y.add(alpha))),
    ],
  }),
  Softplus: primitive({
    inputs: 1,
    infer: same,
    gradient: ({ inputs: [x], dy }) => [() => dy.mul(x.sigmoid())],
  }),
  /** `α·x + β`, kept within 0 and 1. */
  HardSigmoid: primitive({
    inputs: 1,
    attributes: { alpha: float(0.2), beta: float(0.5) },
    infer: same,
    // y·(1 − y) is above 0 exactly where y is between its bounds.
    gradient: ({ attributes: { alpha }, y, dy }) => [
      () => keptWhere(y.sub(y.mul(y)).greater(0), dy.mul(alpha)),
    ],
  }),
  HardSwish: composite({
    inputs: 1,
    expand: ({ inputs: [x] }): Tensor =>
      x.mul(x.graph.apply("HardSigmoid", [x], { alpha: 1 / 6, beta: 0.5 })),
  }),
  /** `x · sigmoid(α·x)`; SiLU for α = 1. */
  Swish: composite({
    inputs: 1,
    attributes: { alpha: float(1) },
    expand: ({ inputs: [x], attributes: { alpha } }) => x.mul(x.mul(alpha).sigmoid()),
  }),
  Mish: composite({
    inputs: 1,
    expand: ({ inputs: [x] }): Tensor => x.mul(x.graph.apply("Softplus", [x]).tanh()),
  }),
  /** `x · Φ(x)` (arXiv:1606.08415), exact or, with "tanh", in its approximation. */
  Gelu: composite({
    inputs: 1,
    attributes: { approximate: text("none") },
    expand: ({ inputs: [x], attributes: { approximate } }) =>
      x.mul(approximate === "tanh" ? tanhOfGelu(x).add(1).mul(0.5) : normalDistribution(x)),
    gradient: ({ inputs: [x], attributes: { approximate }, dy }) => [
      () => {
        if (approximate !== "tanh") {
          const density = x
            .mul(x)
            .mul(-0.5)
            .exp()
            .mul(1 / Math.sqrt(2 * Math.PI));
          return dy.mul(normalDistribution(x).add(x.mul(density)));
        }
        const t = tanhOfGelu(x);
        const inner = x
          .mul(x)
          .mul(3 * TANH_CUBE)
          .add(1)
          .mul(TANH_SCALE);
        const slope = x.sub(x.mul(t.mul(t))).mul(inner);
        return dy.mul(t.add(1).add(slope).mul(0.5));
      },
    ],
  }),
  /** `gate ⊙ sigmoid(gate) ⊙ up` (arXiv:2002.05202). */
  SwiGLU: composite({
    inputs: 2,
    expand: ({ inputs: [gate, up] }) => gate.mul(gate.sigmoid()).mul(up),
    gradient: ({ inputs: [gate, up], dy }) => {
      const sigmoid = gate.sigmoid();
      const swish = gate.mul(sigmoid);
      // up ⊙ (swish + sigmoid − swish ⊙ sigmoid), in one pass less.
      const y = swish.mul(up);
      return [() => dy.mul(y.add(sigmoid.mul(up.sub(y)))), () => dy.mul(swish)];
    },
  }),
};
