import type { AttributeValue } from "../operator.ts";
import { type Window, windowsOf } from "../operators/window.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { exactMatmul, exactProduct } from "./products.ts";
import { sumBlock } from "./sum-order.ts";
import { channelsFirst, channelsLast, combinations, padded, seenAt, seenBy } from "./window-places.ts";

type Attributes = Readonly<Record<string, AttributeValue>>;
type Inputs = readonly Tensor[];

/** The inner size up to which every kernel takes a sum in one go. */
const BLOCK = 128;

function windowsFor(x: Tensor, attributes: Attributes, kernel: readonly number[]): Window[] {
  return windowsOf(x.shape, attributes as unknown as Parameters<typeof windowsOf>[1], kernel);
}

/**
 * A convolution as a product of rows, one for each window and all that it sees, with the weights.
 * Where one short sum gives each value, the runtime's own does the same everywhere.
 */
export function exactConvolution([x, weights, bias]: Inputs, attributes: Attributes): Tensor | null {
  if (!x || !weights) return null;
  const group = Number(attributes["group"] ?? 1);
  const windows = windowsFor(x, attributes, weights.shape.slice(2));
  const [filters, channels] = [weights.dim(0) / group, weights.dim(1)];
  const outputs = sizeOf(windows.map(({ count }) => count));
  const k = channels * sizeOf(weights.shape.slice(2));
  const isFixed =
    k <= BLOCK &&
    channels > 1 &&
    sumBlock({ batch: 1, m: filters, n: outputs, k, isLeftTransposed: false }) !== null;
  const biased = bias ? [x, weights, bias] : [x, weights];
  if (isFixed) return x.graph.apply("Conv", biased, attributes);
  const image = padded(channelsLast(x), windows);
  const places = sizeOf(windows.map(({ kernel }) => kernel));
  const y =
    places <= outputs ? byPlaces(image, weights, windows, group) : byOutputs(image, weights, windows, group);
  return channelsFirst(bias ? y.add(bias) : y);
}

/** Few places in a window: what all windows see in each place, side by side. */
function byPlaces(image: Tensor, weights: Tensor, windows: readonly Window[], group: number): Tensor {
  const counts = windows.map(({ count }) => count);
  const rows = image.dim(0) * sizeOf(counts);
  const seen = combinations(windows.map(({ kernel }) => kernel)).map((place) =>
    seenAt(image, windows, place).reshape([rows, group, image.dim(-1) / group]),
  );
  return grouped(joined(seen, 2), weights, group).reshape([image.dim(0), ...counts, weights.dim(0)]);
}

/** Few windows, as in the gradient of weights: what each of them sees, one window after the other. */
function byOutputs(image: Tensor, weights: Tensor, windows: readonly Window[], group: number): Tensor {
  const [batch, channels] = [image.dim(0), image.dim(-1)];
  const places = sizeOf(windows.map(({ kernel }) => kernel));
  const counts = windows.map(({ count }) => count);
  const results = combinations(counts).map((output) => {
    const seen = seenBy(image, windows, output).reshape([batch, places, group, channels / group]);
    const row = seen.transpose(0, 2, 1, 3).reshape([batch, group, (places * channels) / group]);
    return grouped(row, weights, group).reshape([batch, 1, weights.dim(0)]);
  });
  return joined(results, 1).reshape([batch, ...counts, weights.dim(0)]);
}

/** Rows [rows, group, places · channels] times the weights [filters, channels, kernel…] of each group. */
function grouped(rows: Tensor, weights: Tensor, group: number): Tensor {
  const [count, , k] = rows.shape as [number, number, number];
  const filters = weights.dim(0);
  const last = channelsLast(weights);
  if (group === 1) return exactProduct(rows.reshape([count, k]), last.reshape([filters, k]), false, true);
  const factors = last.reshape([group, filters / group, k]).transpose(0, 2, 1);
  return exactMatmul(rows.transpose(1, 0, 2), factors)
    .transpose(1, 0, 2)
    .reshape([count, filters]);
}

/** Every value times the weights [in, out / group, kernel…], added up where windows overlap. */
export function exactTransposedConvolution(
  [x, weights, bias]: Inputs,
  attributes: Attributes,
): Tensor | null {
  if (!x || !weights) return null;
  const group = Number(attributes["group"] ?? 1);
  const kernel = weights.shape.slice(2);
  const places = sizeOf(kernel);
  const [channels, filters] = [x.dim(1) / group, weights.dim(1)];
  const space = x.shape.slice(2);
  const isFixed =
    channels <= BLOCK &&
    sumBlock({ batch: 1, m: filters * places, n: sizeOf(space), k: channels, isLeftTransposed: true }) !==
      null;
  if (isFixed) return x.graph.apply("ConvTranspose", bias ? [x, weights, bias] : [x, weights], attributes);
  const list = (name: string, i: number, missing: number): number =>
    (attributes[name] as readonly number[] | undefined)?.[i] ?? missing;
  const rows = x.dim(0) * sizeOf(space);
  // [group, rows, channels] · [group, channels, places · filters]
  const left = channelsLast(x).reshape([rows, group, channels]).transpose(1, 0, 2);
  const right = weights
    .reshape([group, channels, filters, places])
    .transpose(0, 1, 3, 2)
    .reshape([group, channels, places * filters]);
  const products =
    group === 1
      ? exactProduct(
          left.reshape([rows, channels]),
          right.reshape([channels, places * filters]),
          false,
          false,
        )
      : exactMatmul(left, right);
  const parts = products
    .reshape([group, rows, places, filters])
    .transpose(2, 1, 0, 3)
    .split(
      0,
      Array.from({ length: places }, () => 1),
    );
  const spread = combinations(kernel).map((place, index) => {
    const part = (parts[index] as Tensor).reshape([x.dim(0), ...space, group * filters]);
    return space.reduce((wide, size, i) => {
      const [stride, dilation] = [list("strides", i, 1), list("dilations", i, 1)];
      const before = (place[i] ?? 0) * dilation;
      const whole =
        (size - 1) * stride + ((kernel[i] ?? 1) - 1) * dilation + 1 + list("output_padding", i, 0);
      const apart = zerosBetween(wide, i + 1, stride);
      return apart.pad(i + 1, before, whole - before - apart.dim(i + 1));
    }, part);
  });
  const whole = spread.reduce((sum, each) => sum.add(each));
  const framed = space.reduce((part, _, i) => {
    const [before, after] = [list("pads", i, 0), list("pads", space.length + i, 0)];
    return part.slice(i + 1, before, part.dim(i + 1) - after);
  }, whole);
  return channelsFirst(bias ? framed.add(bias) : framed);
}

/** `stride − 1` zeros between neighbours along an axis. */
function zerosBetween(x: Tensor, axis: number, stride: number): Tensor {
  if (stride === 1) return x;
  const [front, back] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const size = x.dim(axis);
  return x
    .reshape([...front, size, 1, ...back])
    .pad(axis + 1, 0, stride - 1)
    .reshape([...front, size * stride, ...back])
    .slice(axis, 0, (size - 1) * stride + 1);
}

function joined(parts: readonly Tensor[], axis: number): Tensor {
  const [first, ...others] = parts as readonly [Tensor, ...Tensor[]];
  return others.length > 0 ? first.concat(others, axis) : first;
}
