import { Failure } from "../../src-protocol/failure.ts";
import { type AttributeValues, type Call, composite, float, int, ints, text } from "../operator.ts";
import { axisOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { known } from "./known.ts";
import { coordinate, type Resampled, taps } from "./resampling.ts";

const attributes = {
  antialias: int(0),
  axes: ints(),
  coordinate_transformation_mode: text("half_pixel"),
  cubic_coeff_a: float(-0.75),
  exclude_outside: int(0),
  extrapolation_value: float(0),
  keep_aspect_ratio_policy: text("stretch"),
  mode: text("nearest"),
  nearest_mode: text("round_prefer_floor"),
};

/** Old and new size of each axis, with their ratio as the file gives it, in float32 as runtimes take it. */
function resampledAxes({
  inputs: [x, , scales, sizes],
  attributes: { axes },
}: Call<"3-4", typeof attributes>): Resampled[] {
  const named = axes.length > 0 ? axes.map((axis) => axisOf(axis, x.rank)) : [...x.shape.keys()];
  const [given, ends] = [known(scales), sizes ? known(sizes) : []];
  if (given.length > 0 ? given.length !== named.length || ends.length > 0 : ends.length !== named.length) {
    throw new Failure(
      "bad-shape",
      `A Resize of [${x.shape}] along ${named.length} axes has the scales [${given}] and the sizes [${ends}].`,
    );
  }
  return x.shape.map((size, axis) => {
    const i = named.indexOf(axis);
    if (i < 0) return { size, count: size, scale: 1 };
    const scale = Math.fround(given[i] ?? (ends[i] ?? 1) / size);
    const count = ends[i] ?? Math.floor(Math.fround(scale * size));
    if (!(scale > 0 && Number.isSafeInteger(count) && count > 0))
      throw new Failure("bad-shape", `A Resize makes ${count} of the ${size} positions of an axis.`);
    return { size, count, scale };
  });
}

function refuseUnknown(given: AttributeValues<typeof attributes>): void {
  const { antialias, coordinate_transformation_mode: mode, keep_aspect_ratio_policy: policy } = given;
  if (antialias === 0 && mode !== "tf_crop_and_resize" && policy === "stretch") return;
  throw new Failure(
    "bad-node",
    "A Resize smooths (antialias), crops (tf_crop_and_resize) or keeps proportions, which the engine does not do. " +
      "Export it with plain sizes.",
  );
}

/** An image of another size. */
export const resize = {
  /**
   * `x` with each axis sampled at other places: the nearest one (nearest), or weighted sums of 2
   * (linear) or 4 (cubic) neighbours, one axis after another. Inputs: x, regions (unused), scales,
   * sizes; an empty list stands for none.
   */
  Resize: composite({
    inputs: "3-4",
    attributes,
    expand: (call) => {
      refuseUnknown(call.attributes);
      const [given] = call.inputs;
      return resampledAxes(call).reduce((x, axis, i) => {
        const places = Array.from({ length: axis.count }, (_, o) =>
          coordinate(call.attributes.coordinate_transformation_mode, o, axis),
        );
        const isUnchanged = axis.count === axis.size && places.every((place, o) => place === o);
        if (isUnchanged) return x;
        return weighted(x, i, taps(call.attributes, places, axis));
      }, given);
    },
  }),
};

/** The sum over taps of the positions that each takes, times its weights along the axis. */
function weighted(
  x: Tensor,
  axis: number,
  along: readonly { positions: number[]; weights: number[] | null }[],
): Tensor {
  const terms = along.map(({ positions, weights }) => {
    const taken = x.take(axis, positions);
    if (!weights) return taken;
    const shape = x.shape.slice(axis).map((_, i) => (i === 0 ? weights.length : 1));
    return taken.mul(x.graph.constant(x.type, shape, weights));
  });
  return terms.reduce((sum, term) => sum.add(term));
}
