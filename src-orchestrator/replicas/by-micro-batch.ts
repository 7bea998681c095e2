/**
 * What is known of micro-batches, so many of them together. A step may have tens of thousands, and each is told of several
 * times: only those are copied that one is changed among. Plain data, since it is written down with the run.
 */
export type ByMicroBatch<Value> = readonly ReadonlyMap<number, Value>[];

const PART = 128;

export function valueAt<Value>(all: ByMicroBatch<Value>, microBatch: number): Value | undefined {
  return all[Math.floor(microBatch / PART)]?.get(microBatch);
}

/** `value`: null, it is taken away. */
export function withValue<Value>(
  all: ByMicroBatch<Value>,
  microBatch: number,
  value: Value | null,
): ByMicroBatch<Value> {
  const at = Math.floor(microBatch / PART);
  const part = new Map(all[at]);
  if (value === null) part.delete(microBatch);
  else part.set(microBatch, value);
  if (at < all.length) return all.with(at, part);
  const between = Array.from({ length: at - all.length }, () => new Map<number, Value>());
  return [...all, ...between, part];
}

export function* entriesOf<Value>(all: ByMicroBatch<Value>): Iterable<readonly [number, Value]> {
  for (const part of all) yield* part;
}
