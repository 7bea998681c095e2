import type { Window } from "../operators/window.ts";
import type { Tensor } from "../tensor.ts";

/** `[batch, channels, …]` as `[batch, …, channels]`. */
export function channelsLast(x: Tensor): Tensor {
  return x.transpose(0, ...[...x.shape.keys()].slice(2), 1);
}

/** `[batch, …, channels]` as `[batch, channels, …]`. */
export function channelsFirst(x: Tensor): Tensor {
  return x.transpose(0, x.rank - 1, ...[...x.shape.keys()].slice(1, -1));
}

/** Zeros before and after each axis from 1 on, so that every window lies inside. */
export function padded(x: Tensor, windows: readonly Window[]): Tensor {
  return windows.reduce((part, { size, kernel, stride, dilation, before, count }, i) => {
    const reach = (count - 1) * stride + (kernel - 1) * dilation + 1;
    return part.pad(i + 1, before, Math.max(0, reach - before - size));
  }, x);
}

/** All combinations of a number below each of `counts`, the last fastest. */
export function combinations(counts: readonly number[]): number[][] {
  return counts.reduce<number[][]>(
    (all, count) => all.flatMap((front) => Array.from({ length: count }, (_, i) => [...front, i])),
    [[]],
  );
}

/** For each axis from 1 on: `count` positions from `start`, `step` apart. */
export function strided(x: Tensor, along: readonly { start: number; step: number; count: number }[]): Tensor {
  const { graph } = x;
  return graph.apply("Slice", [
    x,
    graph.indices(along.map(({ start }) => start)),
    graph.indices(along.map(({ start, step, count }) => start + (count - 1) * step + 1)),
    graph.indices(along.map((_, i) => i + 1)),
    graph.indices(along.map(({ step }) => step)),
  ]);
}

/** What every window of `x` [batch, …, channels], padded, sees at one place: [batch, counts…, channels]. */
export function seenAt(x: Tensor, windows: readonly Window[], place: readonly number[]): Tensor {
  return strided(
    x,
    windows.map(({ stride, dilation, count }, i) => ({
      start: (place[i] ?? 0) * dilation,
      step: stride,
      count,
    })),
  );
}

/** What one window of `x` [batch, …, channels], padded, sees: [batch, kernel…, channels]. */
export function seenBy(x: Tensor, windows: readonly Window[], output: readonly number[]): Tensor {
  return strided(
    x,
    windows.map(({ stride, dilation, kernel }, i) => ({
      start: (output[i] ?? 0) * stride,
      step: dilation,
      count: kernel,
    })),
  );
}
