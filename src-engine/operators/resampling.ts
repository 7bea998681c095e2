import { Failure } from "../../src-protocol/failure.ts";

/** An axis of `size` positions that gets `count`; `scale` is about count / size. */
export interface Resampled {
  size: number;
  count: number;
  scale: number;
}

/** One neighbour of every new position, with its weights; null: 1. */
interface Tap {
  positions: number[];
  weights: number[] | null;
}

const { fround, floor, ceil, round, min, max, abs } = Math;

/** Where the new position `o` lies among the old ones, computed in float32 as runtimes do. */
export function coordinate(mode: string, o: number, { size, count, scale }: Resampled): number {
  const centred = (): number => fround(fround(fround(o + 0.5) / scale) - 0.5);
  switch (mode) {
    case "half_pixel":
      return centred();
    case "pytorch_half_pixel":
      return count > 1 ? centred() : 0;
    case "half_pixel_symmetric": {
      const adjustment = fround(count / fround(scale * size));
      const offset = fround((size / 2) * fround(1 - adjustment));
      return fround(offset + centred());
    }
    case "align_corners":
      return count > 1 ? fround(fround(o * (size - 1)) / (count - 1)) : 0;
    case "asymmetric":
      return fround(o / scale);
    default:
      throw new Failure("bad-node", `A Resize by the unknown coordinates "${mode.slice(0, 40)}".`);
  }
}

/** Halves go where the mode says. */
function nearest(mode: string, at: number): number {
  switch (mode) {
    case "round_prefer_floor":
      return ceil(at - 0.5);
    case "round_prefer_ceil":
      return round(at);
    case "floor":
      return floor(at);
    case "ceil":
      return ceil(at);
    default:
      throw new Failure(
        "bad-node",
        `A Resize to the nearest position by the unknown rule "${mode.slice(0, 40)}".`,
      );
  }
}

/** Weights of the positions floor − 1 to floor + 2 for the rest `t` (Keys' cubic convolution, with coefficient a). */
function cubicWeights(t: number, a: number): number[] {
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

/** Which old positions, with which weights, make the new ones at `places`. */
export function taps(
  given: { mode: string; nearest_mode: string; cubic_coeff_a: number; exclude_outside: number },
  places: readonly number[],
  { size }: Resampled,
): Tap[] {
  const inside = (at: number): number => min(max(at, 0), size - 1);
  if (given.mode === "nearest")
    return [{ positions: places.map((at) => inside(nearest(given.nearest_mode, at))), weights: null }];
  if (given.mode === "linear") {
    const rests = places.map((at) => inside(at) - floor(inside(at)));
    return [
      { positions: places.map((at) => floor(inside(at))), weights: rests.map((t) => 1 - t) },
      { positions: places.map((at) => inside(floor(inside(at)) + 1)), weights: rests },
    ];
  }
  if (given.mode !== "cubic")
    throw new Failure("bad-node", `A Resize by the unknown mode "${given.mode.slice(0, 40)}".`);
  const weights = places.map((at) => {
    const four = cubicWeights(at - floor(at), given.cubic_coeff_a);
    if (given.exclude_outside === 0) return four;
    const kept = four.map((weight, k) => (inside(floor(at) - 1 + k) === floor(at) - 1 + k ? weight : 0));
    const total = kept.reduce((sum, weight) => sum + weight, 0);
    return kept.map((weight) => weight / (abs(total) > 0 ? total : 1));
  });
  return [-1, 0, 1, 2].map((step, k) => ({
    positions: places.map((at) => inside(floor(at) + step)),
    weights: weights.map((four) => four[k] ?? 0),
  }));
}
