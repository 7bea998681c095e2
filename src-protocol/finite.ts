/**
 * True when no value is NaN or infinite. SECURITY: one such value, from a peer or a file, spreads to
 * every parameter it meets and cannot be trained away again.
 */
export function isFiniteTensor(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
