import { CHUNK_BYTES } from "../../src-protocol/peer.ts";
import type { WindowMessage } from "../../src-protocol/peer.ts";

/** What may be on its way to a limited computer, in seconds of its limit: heartbeats wait so long at most. */
const WINDOW_SECONDS = 0.25;
/** A slower line has one piece on its way at least. */
const LEAST_WINDOW_BYTES = 16 * 1024;
const PIECES_IN_A_WINDOW = 4;

/**
 * The receiving end of a link whose owner has limited what comes in. Not reading alone would hold the limit
 * too, with seconds of data in the buffers between, and the heartbeats behind them.
 */
export class ReceiveWindow {
  #saidBytes: number | null = null;
  #saidTaken = 0;

  /**
   * What the sender is to be told now; null: nothing.
   * @param bytesPerSecond the limit; null: there is none
   * @param taken frame bytes that have come on this link in all
   */
  news(bytesPerSecond: number | null, taken: number): WindowMessage | null {
    const bytes =
      bytesPerSecond === null
        ? null
        : Math.max(LEAST_WINDOW_BYTES, Math.floor(bytesPerSecond * WINDOW_SECONDS));
    const isOld =
      bytes === this.#saidBytes && (bytes === null || taken - this.#saidTaken < bytes / PIECES_IN_A_WINDOW);
    if (isOld) return null;
    this.#saidBytes = bytes;
    this.#saidTaken = taken;
    return { type: "window", bytes, taken };
  }
}

/** The sending end: no more is on its way than the other side has room for. */
export class SendWindow {
  #bytes: number | null = null;
  #taken = 0;

  hear({ bytes, taken }: WindowMessage): void {
    this.#bytes = bytes;
    this.#taken = Math.max(this.#taken, taken);
  }

  /** Whether a piece of bulk may go. @param sent frame bytes sent on this link in all */
  isOpen(sent: number): boolean {
    return this.#bytes === null || sent - this.#taken < this.#bytes;
  }

  /** Into how large pieces bulk is cut. */
  get pieceBytes(): number {
    if (this.#bytes === null) return CHUNK_BYTES;
    return Math.min(CHUNK_BYTES, Math.max(4 * 1024, Math.floor(this.#bytes / PIECES_IN_A_WINDOW)));
  }
}
