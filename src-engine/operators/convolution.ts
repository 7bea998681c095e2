import { Failure } from "../../src-protocol/failure.ts";
import { int, ints, primitive, type Pull } from "../operator.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { sumsOf } from "./selection.ts";
import { type Window, windowAttributes, windowsOf } from "./window.ts";

const attributes = { ...windowAttributes, group: int(1) };

/** The attributes of a convolution with these windows. */
function asAttributes(windows: readonly Window[], group: number) {
  return {
    group,
    strides: windows.map(({ stride }) => stride),
    dilations: windows.map(({ dilation }) => dilation),
    pads: [...windows.map(({ before }) => before), ...windows.map(({ after }) => after)],
  };
}

/** Every axis after batch and channels cut, or filled with zeros, to the positions [start, start + size). */
function framed(x: Tensor, frames: readonly { start: number; size: number }[]): Tensor {
  return frames.reduce((part, { start, size }, i) => {
    const end = part.dim(i + 2);
    const sources = Array.from({ length: size }, (_, p) => (p + start < end ? [p + start] : []));
    return sumsOf(part, i + 2, sources);
  }, x);
}

/**
 * The gradient of a convolution's input: every output spread over its window by a ConvTranspose.
 *
 * It is made without padding, and the frame is cut out of it: not every provider takes paddings that
 * differ at the two ends, or an output padding.
 */
function spread(dy: Tensor, weights: Tensor, windows: readonly Window[], group: number): Tensor {
  const isEven = windows.every(
    ({ before, after, size, stride, count, kernel, dilation }) =>
      before === after && (count - 1) * stride + (kernel - 1) * dilation + 1 === size + 2 * before,
  );
  const given = asAttributes(windows, group);
  if (isEven) return dy.graph.apply("ConvTranspose", [dy, weights], given);
  const whole = dy.graph.apply("ConvTranspose", [dy, weights], { ...given, pads: [] });
  return framed(
    whole,
    windows.map(({ before, size }) => ({ start: before, size })),
  );
}

/**
 * The gradient of a convolution's weights [out, in / group, …]: a convolution of the input with the
 * output's gradient, batch and channels exchanged, strides and dilations exchanged. Groups stay
 * groups: the channels of a group lie beside each other.
 */
function correlated(x: Tensor, dy: Tensor, windows: readonly Window[], group: number): Tensor {
  const [batch, channels, ...space] = x.shape as [number, number, ...number[]];
  const isPointwise = windows.every(
    ({ kernel, stride, before, after }) => kernel === 1 && stride === 1 && before + after === 0,
  );
  if (isPointwise && group === 1) {
    // One product for each example, where a moving window of one position would be ten times slower.
    const flat = (each: Tensor): Tensor => each.reshape([batch, each.dim(1), sizeOf(space)]);
    const products = flat(dy).matmul(flat(x).transposed());
    return products.sum(0).reshape([dy.dim(1), channels, ...space.map(() => 1)]);
  }
  const others = space.map((_, i) => i + 3);
  const images = x
    .reshape([batch, group, channels / group, ...space])
    .transpose(2, 1, 0, ...others)
    .reshape([channels / group, group * batch, ...space]);
  const kernels = dy.transpose(1, 0, ...others.map((axis) => axis - 1));
  const { pads, strides, dilations } = asAttributes(windows, group);
  const product = x.graph.apply("Conv", [images, kernels], {
    group,
    pads,
    strides: dilations,
    dilations: strides,
  });
  // Positions that the last window did not reach give products beyond the kernel.
  return framed(
    product,
    windows.map(({ kernel }) => ({ start: 0, size: kernel })),
  ).transpose(1, 0, ...others.map((axis) => axis - 1));
}

function misfit(x: Tensor, weights: Tensor, group: number): Failure {
  return new Failure(
    "bad-shape",
    `A convolution of [${x.shape}] with weights [${weights.shape}] in ${group} groups.`,
  );
}

/** The gradient of a bias: the sum over everything but channels. */
function biasGradient(dy: Tensor): Tensor {
  return dy.sum(...[...dy.shape.keys()].filter((axis) => axis !== 1)).reshape([dy.dim(1)]);
}

/** Products with a moving window over `[batch, channels, …]`, in one, two or three dimensions. */
export const convolution = {
  /** Weights [out, in / group, …kernel], bias [out]. */
  Conv: primitive({
    inputs: "2-3",
    attributes,
    infer: ({ inputs: [x, weights], attributes }) => {
      const { group } = attributes;
      const fits = x.rank > 2 && x.rank === weights.rank && x.dim(1) === weights.dim(1) * group;
      if (!fits || weights.dim(0) % group !== 0) throw misfit(x, weights, group);
      const windows = windowsOf(x.shape, attributes, weights.shape.slice(2));
      return [{ type: x.type, shape: [x.dim(0), weights.dim(0), ...windows.map(({ count }) => count)] }];
    },
    gradient: ({ inputs: [x, weights, bias], attributes, dy }) => {
      const windows = windowsOf(x.shape, attributes, weights.shape.slice(2));
      return [
        () => spread(dy, weights, windows, attributes.group),
        () => correlated(x, dy, windows, attributes.group),
        ...(bias ? [() => biasGradient(dy)] : []),
      ];
    },
  }),
  /** Weights [in, out / group, …kernel]: the gradient of the convolution with the same weights. */
  ConvTranspose: primitive({
    inputs: "2-3",
    attributes: { ...attributes, output_padding: ints(), output_shape: ints() },
    infer: ({ inputs: [x, weights], attributes }) => {
      if (attributes.output_shape.length > 0 || attributes.auto_pad !== "NOTSET") {
        throw new Failure(
          "bad-node",
          "A ConvTranspose says its output's shape or automatic padding. Export it with explicit paddings.",
        );
      }
      const { strides, dilations, pads, output_padding, group } = attributes;
      const rank = x.rank - 2;
      const fits = rank > 0 && x.rank === weights.rank && x.dim(1) === weights.dim(0);
      if (!fits || weights.dim(0) % group !== 0) throw misfit(x, weights, group);
      const space = x.shape.slice(2).map((size, i) => {
        const reach = (weights.dim(i + 2) - 1) * (dilations[i] ?? 1) + 1;
        const whole = (size - 1) * (strides[i] ?? 1) + reach + (output_padding[i] ?? 0);
        return whole - (pads[i] ?? 0) - (pads[rank + i] ?? 0);
      });
      if (!space.every((size) => size > 0)) throw misfit(x, weights, group);
      return [{ type: x.type, shape: [x.dim(0), weights.dim(1) * group, ...space] }];
    },
    gradient: ({ inputs: [x, weights, bias], attributes, y, dy }): readonly Pull[] => {
      const windows = windowsOf(y.shape, attributes, weights.shape.slice(2), { counts: x.shape.slice(2) });
      const given = asAttributes(windows, attributes.group);
      return [
        () =>
          framed(
            dy.graph.apply("Conv", [dy, weights], given),
            windows.map(({ count }) => ({ start: 0, size: count })),
          ),
        () => correlated(dy, x, windows, attributes.group),
        ...(bias ? [() => biasGradient(dy)] : []),
      ];
    },
  }),
};
