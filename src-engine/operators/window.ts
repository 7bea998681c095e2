import { Failure } from "../../src-protocol/failure.ts";
import { ints, text } from "../operator.ts";
import type { Shape } from "../shape.ts";

/** What every operator with a moving window says about it; empty: 1 or 0 along each axis. */
export const windowAttributes = {
  auto_pad: text("NOTSET"),
  dilations: ints(),
  kernel_shape: ints(),
  pads: ints(),
  strides: ints(),
};

interface Given {
  auto_pad: string;
  dilations: readonly number[];
  kernel_shape: readonly number[];
  pads: readonly number[];
  strides: readonly number[];
}

/** A window along one axis of `size` positions: output `o` sees `o·stride + k·dilation − before`. */
export interface Window {
  size: number;
  kernel: number;
  stride: number;
  dilation: number;
  before: number;
  after: number;
  /** Number of outputs. */
  count: number;
}

/**
 * The windows along each of the axes after batch and channels.
 *
 * @param shape of the input `[batch, channels, …]`
 * @param kernel of the weights, where `kernel_shape` is not given
 * @param counts numbers of windows, where they are known and may be less than would fit
 * @throws Failure `bad-shape` when no window fits
 */
export function windowsOf(
  shape: Shape,
  given: Given,
  kernel: Shape,
  { isCeil = false, counts = [] }: { isCeil?: boolean; counts?: Shape } = {},
): Window[] {
  return shape.slice(2).map((size, i) => {
    const width = given.kernel_shape[i] ?? kernel[i] ?? 1;
    const stride = given.strides[i] ?? 1;
    const dilation = given.dilations[i] ?? 1;
    const reach = (width - 1) * dilation + 1;
    const [before, after] = paddingOf(given, shape.length - 2, i, { size, stride, reach });
    const room = size + before + after - reach;
    const count = Math.floor(room / stride) + 1;
    const isSound = [width, stride, dilation].every((n) => n >= 1) && before >= 0 && after >= 0;
    if (!isSound) {
      throw new Failure(
        "bad-shape",
        `A window of ${width} positions, ${dilation} apart, moved by ${stride}, with ${before} and ${after} of padding.`,
      );
    }
    if (!(room >= 0)) {
      throw new Failure("bad-shape", `A window of ${reach} positions does not fit in an axis of ${size}.`);
    }
    // With ceil_mode a further window reaches over the end.
    const hasPart = isCeil && room % stride > 0;
    return {
      size,
      kernel: width,
      stride,
      dilation,
      before,
      after,
      count: counts[i] ?? (hasPart ? count + 1 : count),
    };
  });
}

function paddingOf(
  { auto_pad, pads }: Given,
  rank: number,
  i: number,
  { size, stride, reach }: { size: number; stride: number; reach: number },
): [number, number] {
  if (auto_pad === "NOTSET") return [pads[i] ?? 0, pads[rank + i] ?? 0];
  if (auto_pad === "VALID") return [0, 0];
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach - size);
  const less = Math.floor(total / 2);
  return auto_pad === "SAME_UPPER" ? [less, total - less] : [total - less, less];
}

/** The position that output `o` sees at each place `k` of its window, k-major; -1: padding. */
export function positionsOf({ size, kernel, stride, dilation, before, count }: Window): number[] {
  return Array.from({ length: kernel * count }, (_, i) => {
    const at = (i % count) * stride + Math.floor(i / count) * dilation - before;
    return at >= 0 && at < size ? at : -1;
  });
}
