import { Failure } from "../../src-protocol/failure.ts";
import { composite, float } from "../operator.ts";

export const dropout = {
  /** As in use, where nothing is dropped: `x`. Inputs: x, ratio, training mode. */
  Dropout: composite({
    inputs: "1-3",
    expand: ({ inputs: [x, ratio, training] }) => {
      const drops = training && training.value?.[0] !== 0 && ratio?.value?.[0] !== 0;
      if (!drops) return x;
      throw new Failure(
        "bad-node",
        "A Dropout draws its own random numbers, which the backward pass could not draw again. " +
          "Give its mask as an input (MaskedDropout), or export the model in inference mode.",
      );
    },
  }),
  /** `x / (1 − ratio)` where `mask` (bool) is true, 0 elsewhere: forward and backward see one mask. */
  MaskedDropout: composite({
    inputs: 2,
    attributes: { ratio: float(0.5) },
    expand: ({ inputs: [x, mask], attributes: { ratio } }) =>
      mask.where(x.mul(1 / (1 - ratio)), x.graph.constant(x.type, [], [0])),
  }),
};
