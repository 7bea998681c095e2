import { encodeHeartbeat, encodeMessage } from "../../src-protocol/frame.ts";
import type { FramePieces } from "../../src-protocol/frame.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";

/** Questions of a peer that does not read may not pile up answers here. */
const ANSWERS_KEPT = 4;

interface Parcel {
  readonly frames: readonly FramePieces[];
  next: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The next frame to write. `written` is to be called when its memory is free. */
export interface Shipment {
  readonly kind: "question" | "answer" | "message" | "part";
  readonly pieces: FramePieces;
  readonly written: () => void;
}

const NOTHING = (): void => {};

/**
 * What waits to be sent, in three lanes: heartbeats, then messages without payload, then tensors
 * frame by frame. So nothing small ever waits for more than one chunk.
 */
export class LinkOutbox {
  #question = false;
  #answers = 0;
  #small: Parcel[] = [];
  #tensors: Parcel[] = [];
  /** Given to the pipe whole, not yet out of memory. */
  readonly #leaving = new Set<Parcel>();

  /** Rejects with frame-length when over a limit. */
  add(message: PeerMessage, payload: Uint8Array, pieceBytes?: number): Promise<void> {
    const frames = encodeMessage(message, payload, pieceBytes);
    return this.#wait(payload.byteLength === 0 ? this.#small : this.#tensors, frames);
  }

  /** Of a message whose payload is not sent. */
  addFrame(frame: FramePieces): Promise<void> {
    return this.#wait(this.#small, [frame]);
  }

  #wait(lane: Parcel[], frames: readonly FramePieces[]): Promise<void> {
    return new Promise((resolve, reject) => void lane.push({ frames, next: 0, resolve, reject }));
  }

  /** Asks the peer for a sign of life, unless the last question is still waiting to leave. */
  ask(): void {
    this.#question = true;
  }

  answer(): void {
    this.#answers = Math.min(this.#answers + 1, ANSWERS_KEPT);
  }

  /** A tensor waits to be sent, or a part of one. */
  get hasBulk(): boolean {
    return this.#tensors.length > 0;
  }

  /** Of what never waits for the owner's limit. */
  nextUrgent(): Shipment | null {
    if (this.#question) {
      this.#question = false;
      return { kind: "question", pieces: encodeHeartbeat(false), written: NOTHING };
    }
    if (this.#answers > 0) {
      this.#answers -= 1;
      return { kind: "answer", pieces: encodeHeartbeat(true), written: NOTHING };
    }
    return this.#nextOf(this.#small);
  }

  /** The next part of a tensor; whatever is urgent goes before it. */
  nextBulk(): Shipment | null {
    return this.#nextOf(this.#tensors);
  }

  #nextOf(lane: Parcel[]): Shipment | null {
    const parcel = lane[0];
    const pieces = parcel?.frames[parcel.next];
    if (parcel === undefined || pieces === undefined) return null;
    parcel.next += 1;
    if (parcel.next < parcel.frames.length) return { kind: "part", pieces, written: NOTHING };
    lane.shift();
    this.#leaving.add(parcel);
    const written = (): void => {
      if (this.#leaving.delete(parcel)) parcel.resolve();
    };
    return { kind: "message", pieces, written };
  }

  /** Gives up on everything that has not left. */
  abandon(error: Error): void {
    const parcels = [...this.#leaving, ...this.#small, ...this.#tensors];
    this.#leaving.clear();
    this.#small = [];
    this.#tensors = [];
    this.#question = false;
    this.#answers = 0;
    for (const parcel of parcels) parcel.reject(error);
  }
}
