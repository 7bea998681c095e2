import type { SessionKey } from "../src-protocol/keys.ts";
import { ORPHAN_GRACE_MS } from "./blobs.ts";

/** A checkpoint is named right after its upload; more than these wait for nothing. */
export const UNNAMED_UPLOADS = 8;

/** SECURITY: bounds what a node can put on our disk without ever naming it a checkpoint. */
export class UploadQuota {
  private readonly isNamed: (sha256: string) => boolean;
  private readonly uploads = new Map<string, { readonly by: SessionKey; readonly at: number }>();

  constructor(isNamed: (sha256: string) => boolean) {
    this.isNamed = isNamed;
  }

  /** Counts an upload that begins now; false when the node has too many that are not named. */
  take(by: SessionKey, sha256: string, now: number): boolean {
    for (const [digest, { at }] of this.uploads)
      if (at <= now - ORPHAN_GRACE_MS || this.isNamed(digest)) this.uploads.delete(digest);
    const others = [...this.uploads].filter(([digest, upload]) => upload.by === by && digest !== sha256);
    if (others.length >= UNNAMED_UPLOADS) return false;
    if (!this.uploads.has(sha256)) this.uploads.set(sha256, { by, at: now });
    return true;
  }
}
