import { sha256Hex } from "./keys.ts";

/** Of a network's content-addressed store, in the network's folder. */
export const BLOBS_FOLDER = "blobs";

/** Below that folder, with `/`. Throws for what is no digest. */
export function blobFile(sha256: string): string {
  // SECURITY: nothing but a digest becomes a path.
  const name = sha256Hex.parse(sha256);
  return `sha256/${name.slice(0, 2)}/${name}`;
}
