/** Of a step, and of the bytes that a process held then. */
export type MemoryPoint = readonly [step: number, bytes: number];

/**
 * How the memory of a process grows that goes up until it is collected, and down again or not: by the lowest of each
 * part of the time, each so long that everything was collected in it.
 */
export interface Trend {
  /** Bytes a step. */
  readonly slope: number;
  /** Three times the slope's standard error: a slope within it may be none. */
  readonly doubt: number;
  /** From the first part to the last. */
  readonly rise: number;
  /** The same in the later half: what has come to its end rises no more. */
  readonly lateRise: number;
}

/** What a short time cannot tell from a beginning: a process that has grown by less than this share of what it has. */
const TELLING_RISE = 0.05;
const MOST_PARTS = 10;
/** Two of them in each half. */
const LEAST_PARTS = 4;

/** Of points one after another, from `ms` of time; null: too few times that everything was collected. */
export function trendOf(points: readonly MemoryPoint[], ms: number, collectedEveryMs: number): Trend | null {
  const parts = Math.min(MOST_PARTS, Math.floor(ms / collectedEveryMs));
  if (parts < LEAST_PARTS || points.length < parts) return null;
  const lows = Array.from({ length: parts }, (_, i) =>
    lowest(points.slice(...[i, i + 1].map((part) => Math.round((part * points.length) / parts)))),
  );
  const rise = (from: number): number => bytesAt(lows, parts - 1) - bytesAt(lows, from);
  const its = slope(lows);
  const [x, y] = [mean(lows, 0), mean(lows, 1)];
  const left = lows.reduce((sum, low) => sum + (low[1] - y - its * (low[0] - x)) ** 2, 0);
  const spread = lows.reduce((sum, low) => sum + (low[0] - x) ** 2, 0);
  const doubt = spread === 0 ? Infinity : 3 * Math.sqrt(left / (parts - 2) / spread);
  return { slope: its, doubt, rise: rise(0), lateRise: rise(Math.floor((parts - 1) / 2)) };
}

/**
 * Whether it would grow by more than `allowedBytes` in so many steps, whatever is uncertain of it, and has not
 * come to an end of that: it still rises as fast as would be telling.
 */
export function goesOn(
  { slope: bytesPerStep, doubt, rise, lateRise }: Trend,
  { heldBytes, steps, allowedBytes }: { heldBytes: number; steps: number; allowedBytes: number },
): boolean {
  const isMore = (bytesPerStep - doubt) * steps > allowedBytes;
  return isMore && rise > TELLING_RISE * heldBytes && lateRise > (TELLING_RISE / 2) * heldBytes;
}

/** Of points (x, y), by least squares; 0 for less than two. */
export function slope(points: readonly MemoryPoint[]): number {
  const [x, y] = [mean(points, 0), mean(points, 1)];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  const common = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return spread === 0 || points.length < 2 ? 0 : common / spread;
}

function mean(points: readonly MemoryPoint[], of: 0 | 1): number {
  return points.reduce((sum, point) => sum + point[of], 0) / points.length;
}

function lowest(points: readonly MemoryPoint[]): MemoryPoint {
  return points.reduce((low, point) => (point[1] < low[1] ? point : low));
}

function bytesAt(lows: readonly MemoryPoint[], part: number): number {
  return lows[part]?.[1] ?? 0;
}
