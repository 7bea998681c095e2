import type { HistoryPoint } from "../../src-protocol/state.ts";

/** At most `most` points, evenly spread, the first and the last among them. */
export function thinOut(points: readonly HistoryPoint[], most: number): HistoryPoint[] {
  if (points.length <= most) return [...points];
  if (most === 1) return points.slice(-1);
  const stride = (points.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => points[Math.round(index * stride)]).filter(
    (point) => point !== undefined,
  );
}
