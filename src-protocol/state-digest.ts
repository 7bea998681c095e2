import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";

/** One leaf of the tree: hashing it takes under a millisecond, so heartbeats and tensors go between. */
export const STATE_LEAF_BYTES = 1024 * 1024;

/** Of one leaf's digest. */
export const LEAF_DIGEST_BYTES = 32;

/**
 * The digest of a stage's state, `[parameters | m | v]` as in a snapshot: SHA-256 over the SHA-256 of
 * its leaves of 1 MiB, the last one shorter. A tree, so that it can be made from pieces of any length,
 * and one leaf be checked without the others. Not for the renderer.
 */
export class StateDigest {
  readonly #leaves: Uint8Array[] = [];
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
    return stateRoot(this.leaves());
  }

  /** The digests of all leaves, one after another. Nothing can be added after it. */
  leaves(): Uint8Array {
    if (this.#inLeaf > 0) this.#endLeaf();
    return Buffer.concat(this.#leaves);
  }

  #endLeaf(): void {
    this.#leaves.push(this.#leaf.digest());
    this.#leaf = createHash("sha256");
    this.#inLeaf = 0;
  }
}

/** The digest of a state whose leaves have these digests; hex. */
export function stateRoot(leaves: Uint8Array): string {
  return createHash("sha256").update("Train at Home state v1\n").update(leaves).digest("hex");
}
