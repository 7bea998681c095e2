import type { SessionKey } from "../../src-protocol/keys.ts";
import { ORPHAN_GRACE_MS } from "../stores/blobs.ts";

/** A checkpoint is named right after its upload; more than these wait for nothing. */
export const UNNAMED_UPLOADS = 8;
/** A node sends one checkpoint after another. */
const UPLOADS_AT_ONCE = 2;

export type UploadRefusal = "too-many-uploads" | "upload-under-way";

/** SECURITY: bounds what a node can put on our disk without ever naming it a checkpoint: bytes under way are reserved too. */
export class UploadQuota {
  private readonly isNamed: (sha256: string) => boolean;
  private readonly uploads = new Map<string, { readonly by: SessionKey; readonly at: number }>();
  private readonly underWay = new Map<SessionKey, Set<string>>();

  constructor(isNamed: (sha256: string) => boolean) {
    this.isNamed = isNamed;
  }

  /**
   * Counts an upload that begins now, until `ended`. Refused when the node has too many that are not
   * named, or sends this very one or two others just now.
   */
  begin(by: SessionKey, sha256: string, now: number): UploadRefusal | null {
    const own = this.underWay.get(by) ?? new Set<string>();
    if (own.has(sha256) || own.size >= UPLOADS_AT_ONCE) return "upload-under-way";
    for (const [digest, { at }] of this.uploads)
      if (at <= now - ORPHAN_GRACE_MS || this.isNamed(digest)) this.uploads.delete(digest);
    const others = [...this.uploads].filter(([digest, upload]) => upload.by === by && digest !== sha256);
    if (others.length >= UNNAMED_UPLOADS) return "too-many-uploads";
    if (!this.uploads.has(sha256)) this.uploads.set(sha256, { by, at: now });
    this.underWay.set(by, own.add(sha256));
    return null;
  }

  ended(by: SessionKey, sha256: string): void {
    const own = this.underWay.get(by);
    own?.delete(sha256);
    if (own?.size === 0) this.underWay.delete(by);
  }
}
