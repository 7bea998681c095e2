import { Failure } from "../../../src-protocol/failure.ts";
import type { SessionKey } from "../../../src-protocol/keys.ts";
import type { LaneMessage } from "../../../src-protocol/peer.ts";
import { LEAST_LANE_BYTES, LaneReceiver, LaneSender, MOST_LANE_BYTES } from "./lane.ts";

/** More than a process that ended in the wrong moment explains. */
const MOST_FAULTS = 3;

/** A folder in memory that this process has in common with other workers of this computer. */
export class LaneFolder {
  readonly path: string;
  #faults = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** What should lie there could not be read, again and again: no link uses it any more. */
  get isBroken(): boolean {
    return this.#faults >= MOST_FAULTS;
  }

  fault(): void {
    this.#faults += 1;
  }
}

/** Where a process has its lanes, and the key that it proves to whoever it has links to. */
export interface LaneHome {
  readonly folder: LaneFolder;
  readonly ownKey: SessionKey;
}

/** Both lanes of one link. What they are for is said in lane.ts. */
export class Lanes {
  readonly #home: LaneHome | null;
  readonly #peer: SessionKey;
  #sender: LaneSender | null = null;
  #receiver: LaneReceiver | null = null;
  /** So many bytes may be taken until more comes over the socket. */
  #due = MOST_LANE_BYTES;
  #isClosed = false;
  bytesSent = 0;
  bytesReceived = 0;

  /** @param home null: there are no lanes; @param peer the key that the other side has proved */
  constructor(home: LaneHome | null, peer: SessionKey) {
    this.#home = home;
    this.#peer = peer;
  }

  /** The peer has made a lane in our folder: it is a process of the same owner. */
  get isPeerOwn(): boolean {
    return this.#receiver !== null;
  }

  /** Whether a payload of this size goes by the lane, if it can. */
  isFor(bytes: number): boolean {
    return bytes >= LEAST_LANE_BYTES && this.#home?.folder.isBroken === false && !this.#isClosed;
  }

  /** What the peer is to be told, once: this side has a lane. */
  news(): LaneMessage | null {
    if (this.#home === null || this.#sender !== null) return null;
    const { folder, ownKey } = this.#home;
    try {
      this.#sender = new LaneSender(folder.path, ownKey);
    } catch {
      folder.fault();
      return null;
    }
    return { type: "lane", ...this.#sender.name };
  }

  /** Whether it lies there for the peer; no: it is to be sent. */
  put(payload: Uint8Array): boolean {
    if (this.#sender?.put(payload) !== true) return false;
    this.bytesSent += payload.byteLength;
    return true;
  }

  /** @returns what is to be answered; null: nothing */
  hear(message: LaneMessage): LaneMessage | null {
    if (message.type === "laneSeen") {
      if (message.lane === this.#sender?.name.lane) this.#sender.seen();
      return null;
    }
    if (this.#isClosed || this.#home === null || this.#home.folder.isBroken || this.#receiver !== null)
      return null;
    this.#receiver = LaneReceiver.open(this.#home.folder.path, message, this.#peer);
    return this.#receiver === null ? null : { type: "laneSeen", lane: message.lane };
  }

  /**
   * Bytes have come over the socket. All payloads that they name lie in the lane at once. SECURITY: who names more than
   * it holds would fill memory before the link can stop reading.
   */
  heard(): void {
    this.#due = MOST_LANE_BYTES;
  }

  /** The payload of a message that has come. Throws link-lost: the link goes on over another path, after some faults without lanes. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    // SECURITY: no fault of the folder, for a stranger can say this, too.
    if (this.#receiver === null) throw lost(new Error("the peer has named no lane that this worker reaches"));
    try {
      if (bytes > this.#due) throw new RangeError("more payloads are named than fit into the lane");
      const payload = this.#receiver.take(bytes);
      this.#due -= bytes;
      this.bytesReceived += bytes;
      return payload;
    } catch (cause) {
      if (!this.#isClosed) this.#home?.folder.fault();
      throw lost(cause);
    }
  }

  /** Nothing is put or taken any more; the peer still takes what was put before. */
  close(): void {
    this.#isClosed = true;
    this.#receiver?.close();
    this.#sender?.close();
  }
}

function lost(cause: unknown): Failure {
  return new Failure(
    "link-lost",
    "What another worker of this computer has put into memory for this one cannot be read.",
    { cause },
  );
}
