import { DEAD_AFTER_MS, HEARTBEAT_MS } from "../../src-protocol/control.ts";
import type { CodecName } from "../../src-protocol/link-codecs.ts";
import type { LinkPath } from "../../src-protocol/link-report.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { BlobMessage, PeerMessage, StageMessage, UpkeepMessage } from "../../src-protocol/peer.ts";
import type { Throttle } from "../limits/throttle.ts";

export interface LinkStats {
  /** Frame bytes, without what the transport adds. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  /** Of the last heartbeat that was answered; null before the first. */
  readonly roundTripMs: number | null;
  /** How the last tensor each way was encoded; null before the first. */
  readonly sentAs: CodecName | null;
  readonly receivedAs: CodecName | null;
}

/**
 * While the promise it returned is pending, nothing more is handed over, and after some queued
 * bytes the link stops reading: so a slow consumer slows the sender, not this node's memory.
 * `payload` is the handler's to keep and starts at offset 0 of its own buffer.
 */
export type MessageHandler = (
  message: StageMessage,
  payload: Uint8Array<ArrayBuffer>,
) => void | Promise<void>;

/** Chunks of files, asked for and given; called at once, also while the stage's own messages wait. */
export type BlobHandler = (message: BlobMessage, payload: Uint8Array<ArrayBuffer>) => void;

/** What the other end says about the link itself; called at once. */
export type UpkeepHandler = (message: UpkeepMessage) => void;

/** Why a link closed, in one sentence; the same text on both sides when one of them closed it. */
export type CloseHandler = (reason: string) => void;

/** An open, authenticated connection to one peer. */
export interface Link {
  readonly remoteKey: SessionKey;
  readonly stats: LinkStats;
  /** The road it takes now: it may get better while the link lives. */
  readonly path: LinkPath;
  /** That road does not leave this computer, or this home. */
  readonly isNear: boolean;
  /** The peer is a worker of the same owner: its key stands in memory that nobody else can write. */
  readonly isOwn: boolean;
  /**
   * Resolves when every byte has left this process's memory, so it is the back-pressure, and from
   * then on `payload` may be reused. Messages with a payload arrive in the order they were sent;
   * those without one overtake them, also in the middle, and keep their own order. Rejects with
   * `frame-length` (over a limit; the link lives on) or `link-closed`.
   */
  send(message: PeerMessage, payload?: Uint8Array): Promise<void>;
  /** The one receiver; what arrives before it is set is kept. */
  onMessage(handler: MessageHandler): void;
  /** The one receiver of what is said about files; without one it is left unheard. */
  onBlob(handler: BlobHandler): void;
  /** The one receiver of what is said about the link itself; a first word before it is set is kept. */
  onUpkeep(handler: UpkeepHandler): void;
  /** Called once, also when the link is closed already; no message is handed over after it. */
  onClose(handler: CloseHandler): void;
  /** How long nothing was heard, in ms; 0 while we do not read on purpose. */
  readonly silentMs: number;
  /** Asks the peer for a sign of life now, without waiting for the next heartbeat. */
  ask(): void;
  /**
   * From now on it counts towards what the owner allows, together with all else of this computer:
   * heartbeats and messages without payload go at once, tensors take their turn; too much received
   * stops reading.
   */
  limitBy(throttle: Throttle): void;
  /**
   * A message with more payload ends the link before memory is given to it; before this is called there is
   * no limit but the frame's own.
   */
  limitPayload(bytes: number): void;
  /** Tells the peer why and ends. What was not sent yet is given up. */
  close(reason: string): void;
}

export interface LinkTiming {
  readonly heartbeatMs: number;
  readonly deadAfterMs: number;
}

export const LINK_TIMING: LinkTiming = { heartbeatMs: HEARTBEAT_MS, deadAfterMs: DEAD_AFTER_MS };
