/**
 * True when no value is NaN or infinite. SECURITY: one such value, from a peer or a file, spreads to
 * every parameter it meets and cannot be trained away again.
 */
export function isFiniteTensor(values: Float32Array): boolean {
  // Asked for once: as long as the loop is not compiled, each asking is a call.
  const { length } = values;
  for (let i = 0; i < length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
