import type { Readable } from "node:stream";
import { Failure } from "../../src-protocol/failure.ts";

export interface BodyLimits {
  /** How often it is looked at. */
  readonly everyMs: number;
  /** Less than this between two looks is no progress. */
  readonly leastBytes: number;
}

/** A body has no time limit while it comes; at a kilobyte a second nobody is helped. */
export const BODY_LIMITS: BodyLimits = { everyMs: 20_000, leastBytes: 20_000 };
const LOOK_MS = 500;

/**
 * The bytes of a request's body while they come and their sender is there. SECURITY: who drips bytes, or has
 * left, holds no file open.
 *
 * @throws Failure `upload-stalled`, `upload-abandoned`
 */
export async function* movingBody(
  body: Readable,
  isThere: () => boolean,
  { everyMs, leastBytes }: BodyLimits = BODY_LIMITS,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  let atLook = 0;
  let lookedAt = performance.now();
  const look = setInterval(
    () => {
      if (!isThere()) {
        body.destroy(new Failure("upload-abandoned", "The node has left, so its upload ends."));
        return;
      }
      if (performance.now() - lookedAt < everyMs) return;
      if (bytes - atLook < leastBytes) {
        body.destroy(
          new Failure(
            "upload-stalled",
            `The upload brought ${bytes - atLook} bytes in ${Math.round(everyMs / 1000)} seconds, so it ends. Send it again.`,
          ),
        );
      }
      atLook = bytes;
      lookedAt = performance.now();
    },
    Math.min(LOOK_MS, everyMs),
  );
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      yield chunk;
    }
  } finally {
    clearInterval(look);
  }
}
