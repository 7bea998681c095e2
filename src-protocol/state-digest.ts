import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";

/** One leaf of the tree: hashing it takes under a millisecond, so heartbeats and tensors go between. */
export const STATE_LEAF_BYTES = 1024 * 1024;

/**
 * The digest of a stage's state, `[parameters | m | v]` as in a snapshot: SHA-256 over the SHA-256 of
 * its leaves of 1 MiB, the last one shorter. A tree, so that it can be made from pieces of any length,
 * and one leaf be checked without the others. Not for the renderer.
 */
export class StateDigest {
  readonly #root = createHash("sha256").update("Train at Home state v1\n");
  #leaf: Hash = createHash("sha256");
  #inLeaf = 0;

  update(bytes: Uint8Array): this {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + STATE_LEAF_BYTES - this.#inLeaf);
      this.#leaf.update(part);
      this.#inLeaf += part.length;
      at += part.length;
      if (this.#inLeaf === STATE_LEAF_BYTES) this.#endLeaf();
    }
    return this;
  }

  /** Hex. Nothing can be added after it. */
  digest(): string {
    if (this.#inLeaf > 0) this.#endLeaf();
    return this.#root.digest("hex");
  }

  #endLeaf(): void {
    this.#root.update(this.#leaf.digest());
    this.#leaf = createHash("sha256");
    this.#inLeaf = 0;
  }
}
