import type { LinkPath } from "../../src-protocol/link-report.ts";

/**
 * What a link runs on: an ordered, reliable stream of bytes to a peer whose identity is known. A new
 * transport implements this and gets framing, heartbeats, back-pressure and closing from FramedLink.
 */
export interface LinkPipe {
  /** The road it takes now. */
  readonly path: LinkPath;
  /** It does not leave this computer, or this home. */
  readonly isNear: boolean;
  /** Starts the flow; called once. After `lost` nothing is called any more. */
  start(events: LinkPipeEvents): void;
  /** Takes the pieces, in order. `done` runs when their memory is free again, or never once the pipe is lost. */
  write(pieces: readonly Uint8Array[], done: () => void): void;
  pause(): void;
  resume(): void;
  /** Ends our side after what was written. */
  end(): void;
  /** Drops everything at once. */
  destroy(): void;
}

export interface LinkPipeEvents {
  /** `bytes` are only valid during the call. */
  data(bytes: Uint8Array): void;
  /** The peer is gone, for a reason in one sentence. */
  lost(reason: string): void;
}
