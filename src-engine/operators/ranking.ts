import { Failure } from "../../src-protocol/failure.ts";
import { type Call, int, primitive, type TensorType } from "../operator.ts";
import { axisOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { known } from "./known.ts";
import { withSize } from "./selection.ts";

const extreme = { axis: int(0), keepdims: int(1), select_last_index: int(0) };

function place({ inputs: [x], attributes: { axis, keepdims } }: Call<1, typeof extreme>): TensorType[] {
  const at = axisOf(axis, x.rank);
  const shape = keepdims === 1 ? withSize(x.shape, at, 1) : x.shape.filter((_, i) => i !== at);
  return [{ type: "int64", shape }];
}

/** What is greatest, and where. Places are whole numbers: they have no gradient. */
export const ranking = {
  /** The k greatest (or least) of an axis, as values and as places. */
  TopK: primitive({
    inputs: 2,
    attributes: { axis: int(-1), largest: int(1), sorted: int(1) },
    infer: ({ inputs: [x, count], attributes: { axis } }) => {
      const [k = 0] = known(count);
      if (!(k >= 0 && k <= x.dim(axis)))
        throw new Failure("bad-shape", `The first ${k} of ${x.dim(axis)} positions of [${x.shape}].`);
      const shape = withSize(x.shape, axis, k);
      return [
        { type: x.type, shape },
        { type: "int64", shape },
      ];
    },
    gradient: ({ inputs: [x], attributes: { axis }, outputs: [, places], dy }) => [
      (): Tensor => {
        const zeros = dy.graph.full([], 0).expand(x.shape);
        // The places of one row are all different: nothing has to be added.
        return dy.graph.apply("ScatterElements", [zeros, places as Tensor, dy], { axis });
      },
      null,
    ],
  }),
  ArgMax: primitive({ inputs: 1, attributes: extreme, infer: place }),
  ArgMin: primitive({ inputs: 1, attributes: extreme, infer: place }),
};
