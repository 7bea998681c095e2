import type { AttributeValue } from "../operator.ts";
import { averagedOver } from "../operators/pooling.ts";
import { windowsOf } from "../operators/window.ts";
import type { Tensor } from "../tensor.ts";
import { channelsFirst, channelsLast, combinations, padded, seenAt } from "./window-places.ts";

/** The places of each window added one after the other, times one over how many count. */
export function exactAveragePool(x: Tensor, attributes: Readonly<Record<string, AttributeValue>>): Tensor {
  const windows = windowsOf(x.shape, attributes as unknown as Parameters<typeof windowsOf>[1], [], {
    isCeil: attributes["ceil_mode"] === 1,
  });
  const image = padded(channelsLast(x), windows);
  const sum = combinations(windows.map(({ kernel }) => kernel))
    .map((place) => seenAt(image, windows, place))
    .reduce((total, each) => total.add(each));
  const numbers = averagedOver(windows, attributes["count_include_pad"] === 1);
  const share = x.graph.constant(
    x.type,
    [...windows.map(({ count }) => count), 1],
    numbers.map((number) => 1 / Math.max(1, number)),
  );
  return channelsFirst(sum.mul(share));
}
