import { Failure } from "../../../src-protocol/failure.ts";
import type { PeerMessage } from "../../../src-protocol/peer.ts";

/** SECURITY: a peer that works on without ever saying what it has would have us keep everything. */
const MOST_KEPT = 4_096;

export interface Parcel {
  readonly message: PeerMessage;
  readonly payload: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The messages of one kind to the peer, in order, kept until it has them. Counted from the session's beginning. */
export class SessionLane {
  #parcels: Parcel[] = [];
  #acknowledged = 0;
  /** Of the peer's messages of this kind, how many have come whole. */
  received = 0;

  get kept(): readonly Parcel[] {
    return this.#parcels;
  }

  /** @throws Failure `link-unacknowledged` */
  add(parcel: Parcel): void {
    if (this.#parcels.length >= MOST_KEPT)
      throw new Failure(
        "link-unacknowledged",
        `The peer has not said that it has the last ${MOST_KEPT} messages. The link was closed.`,
      );
    this.#parcels.push(parcel);
  }

  /** The peer has the first `count` of all. @throws Failure `link-count` when that cannot be */
  acknowledge(count: number): void {
    const fresh = count - this.#acknowledged;
    if (fresh < 0 || fresh > this.#parcels.length)
      throw new Failure(
        "link-count",
        `The peer says that it has ${count} messages of ${this.#acknowledged + this.#parcels.length}, and had ${this.#acknowledged} before. The link was closed.`,
      );
    this.#acknowledged = count;
    for (const { resolve } of this.#parcels.splice(0, fresh)) resolve();
  }

  abandon(error: Error): void {
    for (const { reject } of this.#parcels.splice(0)) reject(error);
  }
}
