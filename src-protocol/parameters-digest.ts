import { createHash } from "node:crypto";

/**
 * SHA-256 over a whole model's parameters: for each, in the order of their names, its name, its length
 * and its float32 values, little-endian as on every computer this runs on. The same however the model
 * was cut; a tied parameter counts once.
 */
export function parametersSha256(weights: ReadonlyMap<string, Float32Array>): string {
  return parametersDigest([...weights.keys()], (name) => weights.get(name) ?? new Float32Array());
}

/** The same of parameters that are read one after another. */
export function parametersDigest(names: readonly string[], read: (name: string) => Float32Array): string {
  const hash = createHash("sha256");
  for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
    const values = read(name);
    hash.update(`${JSON.stringify(name)} ${values.length}\n`);
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest("hex");
}
