/**
 * The framework's gradient for each of the importer's. By name where both have it; else, because exporters
 * rename, transpose and reshape, by the numbers in order of size.
 */
export function matchGradients(
  found: Readonly<Record<string, Float32Array>>,
  expected: ReadonlyMap<string, Float32Array>,
): { errors: ReadonlyMap<string, number>; left: readonly Float32Array[] } {
  const whole = Math.hypot(...[...expected.values()].map((each) => Math.hypot(...each)));
  // One that is 0 but for rounding, as of a key's bias, is measured against the whole.
  const relative = (distance: number, gradient: Float32Array): number =>
    distance / Math.max(Math.hypot(...gradient), 1e-2 * whole);
  const errors = new Map<string, number>();
  const open = new Map(expected);
  for (const [name, gradient] of Object.entries(found)) {
    const own = open.get(name);
    if (own?.length !== gradient.length) continue;
    const error = relative(distance(gradient, own), own);
    // A square matrix may keep its name where it is stored transposed.
    if (error > 1e-3) continue;
    errors.set(name, error);
    open.delete(name);
  }
  const left = [...open.values()].map((each) => each.toSorted());
  for (const [name, gradient] of Object.entries(found)) {
    if (errors.has(name)) continue;
    const sorted = gradient.toSorted();
    const distances = left.map((each) => (each.length === sorted.length ? distance(sorted, each) : Infinity));
    const best = distances.indexOf(Math.min(...distances));
    errors.set(name, relative(distances[best] ?? Infinity, left[best] ?? new Float32Array()));
    left.splice(best, 1);
  }
  return { errors, left };
}

function distance(one: Float32Array, other: Float32Array): number {
  return Math.hypot(...one.map((value, i) => value - (other[i] ?? 0)));
}
