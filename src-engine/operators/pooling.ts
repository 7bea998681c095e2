import { Failure } from "../../src-protocol/failure.ts";
import { composite, int, primitive } from "../operator.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { scattered, sumsOf } from "./selection.ts";
import { positionsOf, type Window, windowAttributes, windowsOf } from "./window.ts";

const attributes = { ...windowAttributes, ceil_mode: int(0) };

/**
 * The windows of a pooling, each of which sees something.
 *
 * @throws Failure `bad-node` when a window would see only padding
 */
function poolingWindows(
  shape: Shape,
  given: Parameters<typeof windowsOf>[1] & { ceil_mode: number },
): Window[] {
  const windows = windowsOf(shape, given, [], { isCeil: given.ceil_mode === 1 });
  if (!windows.some(hasBlindWindow)) return windows;
  throw new Failure(
    "bad-node",
    `A pooling of [${shape}] has a window that sees only padding: runtimes and versions of ONNX differ in ` +
      "whether it counts and what it gives. Export the model with ceil_mode 0, or with another padding.",
  );
}

/** Without lists of positions: a damaged file may give any numbers. */
function hasBlindWindow({ size, kernel, stride, dilation, before, count }: Window): boolean {
  if ((count - 1) * stride - before >= size) return true;
  // From here on only windows that begin before the first position can be blind.
  for (let start = -before; start < 0 && start < count * stride - before; start += stride) {
    const place = Math.ceil(-start / dilation);
    if (place >= kernel || start + place * dilation >= size) return true;
    // Dilations that are no longer than the axis always hit it: what holds here holds from here on.
    if (dilation <= size) return false;
  }
  return false;
}

/** `[batch, channels, …]` as `[batch, …, channels]`: whole rows of channels are moved fast. */
function channelsLast(x: Tensor): Tensor {
  const [batch, channels, ...space] = x.shape as [number, number, ...number[]];
  const flat = x.reshape([batch, channels, sizeOf(space)]);
  return flat.transpose(0, 2, 1).reshape([batch, ...space, channels]);
}

function channelsFirst(x: Tensor): Tensor {
  const [batch, ...space] = x.shape.slice(0, -1) as [number, ...number[]];
  const flat = x.reshape([batch, sizeOf(space), x.dim(-1)]);
  return flat.transpose(0, 2, 1).reshape([batch, x.dim(-1), ...space]);
}

/**
 * What each window sees in each place, place by place. Padding is never the greatest: instead of it
 * a window sees its nearest position once more, which changes neither its greatest nor its first.
 */
function repeatedPositions(window: Window): number[][] {
  const { kernel, count } = window;
  const positions = positionsOf(window);
  const places = Array.from({ length: kernel }, (_, k) => positions.slice(k * count, (k + 1) * count));
  return places.map((place, k) =>
    place.map((at, o) => {
      const inside = (from: readonly number[][]): number | undefined =>
        from.find((each) => each[o] !== -1)?.[o];
      return at >= 0 ? at : (inside(places.slice(k + 1)) ?? inside(places.slice(0, k).reverse()) ?? 0);
    }),
  );
}

/**
 * `dy` [batch, counts…, channels] moved to the first greatest element of each window of `x`. Place by
 * place, what is equal to the greatest takes the gradient and leaves none to later places.
 */
function toFirstGreatest(x: Tensor, y: Tensor, dy: Tensor, windows: readonly Window[]): Tensor {
  const none = dy.graph.full([], 0);
  let left = dy;
  // `seen` is what all windows see in this place, as far as its axes are chosen.
  const spread = (seen: Tensor, i: number): Tensor => {
    const window = windows[i];
    if (!window) {
      const isGreatest = seen.equal(y);
      const taken = isGreatest.where(left, none);
      left = isGreatest.where(none, left);
      return taken;
    }
    const positions = repeatedPositions(window);
    const places = positions.map((along) => spread(seen.take(i + 1, along), i + 1));
    const [first, ...others] = places as [Tensor, ...Tensor[]];
    const all = others.length > 0 ? first.concat(others, i + 1) : first;
    return scattered(all, i + 1, positions.flat(), window.size);
  };
  return spread(x, 0);
}

/** Numbers of positions that each average is of, [count₁, count₂, …]. */
export function averagedOver(windows: readonly Window[], includePadding: boolean): number[] {
  return windows.reduce<number[]>(
    (product, window) => {
      const { size, kernel, stride, dilation, before, after, count } = window;
      const [first, end] = includePadding ? [-before, size + after] : [0, size];
      const along = Array.from({ length: count }, (_, o) => {
        const places = Array.from({ length: kernel }, (_, k) => o * stride + k * dilation - before);
        return places.filter((at) => at >= first && at < end).length;
      });
      return product.flatMap((a) => along.map((b) => a * b));
    },
    [1],
  );
}

/** Reductions of moving windows over `[batch, channels, …]`. */
export const pooling = {
  /**
   * The gradient goes to the first greatest element, as in PyTorch. It is found by comparison, not
   * from the Indices output: WebGPU's kernel has none.
   */
  MaxPool: primitive({
    inputs: 1,
    attributes: { ...attributes, storage_order: int(0) },
    infer: ({ inputs: [x], attributes }) => {
      const windows = poolingWindows(x.shape, attributes);
      return [{ type: x.type, shape: [...x.shape.slice(0, 2), ...windows.map(({ count }) => count)] }];
    },
    gradient: ({ inputs: [x], attributes, y, dy }) => [
      () => {
        const windows = poolingWindows(x.shape, attributes);
        const dx = toFirstGreatest(channelsLast(x), channelsLast(y), channelsLast(dy), windows);
        return channelsFirst(dx);
      },
    ],
  }),
  AveragePool: primitive({
    inputs: 1,
    attributes: { ...attributes, count_include_pad: int(0) },
    infer: ({ inputs: [x], attributes }) => {
      const windows = poolingWindows(x.shape, attributes);
      return [{ type: x.type, shape: [...x.shape.slice(0, 2), ...windows.map(({ count }) => count)] }];
    },
    gradient: ({ inputs: [x], attributes, dy }) => [
      () => {
        const windows = poolingWindows(x.shape, attributes);
        const numbers = averagedOver(windows, attributes.count_include_pad === 1);
        const share = dy.graph.constant(
          dy.type,
          windows.map(({ count }) => count),
          numbers.map((number) => 1 / Math.max(1, number)),
        );
        const dx = windows.reduce(
          (sum, window, axis) => {
            const seenBy = Array.from({ length: window.size }, (): number[] => []);
            for (const [place, at] of positionsOf(window).entries()) seenBy[at]?.push(place % window.count);
            return sumsOf(sum, axis + 1, seenBy);
          },
          channelsLast(dy.mul(share)),
        );
        return channelsFirst(dx);
      },
    ],
  }),
  GlobalAveragePool: composite({
    inputs: 1,
    expand: ({ inputs: [x] }) => x.mean(...[...x.shape.keys()].slice(2)),
  }),
  GlobalMaxPool: composite({
    inputs: 1,
    expand: ({ inputs: [x] }) => x.max(...[...x.shape.keys()].slice(2)),
  }),
};
