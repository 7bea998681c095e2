/** ‖values − reference‖ ÷ ‖reference‖; NaN where they cannot be compared. */
export function relativeError(values: Float32Array | undefined, reference: Float32Array): number {
  if (values?.length !== reference.length) return Number.NaN;
  let [difference, size] = [0, 0];
  for (const [i, expected] of reference.entries()) {
    difference += ((values[i] ?? Number.NaN) - expected) ** 2;
    size += expected ** 2;
  }
  return Math.sqrt(difference / size);
}
