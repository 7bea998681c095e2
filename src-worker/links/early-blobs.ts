import { BLOB_ASKS } from "../../src-protocol/peer.ts";
import type { BlobMessage } from "../../src-protocol/peer.ts";
import type { LinkClock } from "./link-clock.ts";
import type { BlobHandler } from "./link.ts";

/** Whoever asks may have heard of this link's end before the one that answers: so long its asks wait. */
const NAMED_WITHIN_MS = 1_000;

type Ask = Extract<BlobMessage, { type: "blobAsk" }>;

/**
 * What a peer says of files. An ask that comes before anybody has taken the link over waits a moment; then, or
 * where too many wait, the answer is that there is nothing, and the peer takes the file from somebody else.
 * Unanswered, it would wait for as long as a computer may take to read it.
 */
export class EarlyBlobs {
  readonly #clock: LinkClock;
  readonly #nothing: (ask: Ask) => void;
  #handler: BlobHandler | null = null;
  #asks: Ask[] = [];
  #cancel: () => void = () => undefined;

  /** @param nothing answers that the file is not here */
  constructor(clock: LinkClock, nothing: (ask: Ask) => void) {
    this.#clock = clock;
    this.#nothing = nothing;
  }

  handleWith(handler: BlobHandler): void {
    this.#handler = handler;
    const asks = this.#take();
    queueMicrotask(() => {
      for (const ask of asks) handler(ask, new Uint8Array(0));
    });
  }

  hear(message: BlobMessage, payload: Uint8Array<ArrayBuffer>): void {
    if (this.#handler !== null) return this.#handler(message, payload);
    // Nobody has asked for anything yet.
    if (message.type !== "blobAsk") return;
    if (this.#asks.length >= BLOB_ASKS) return this.#nothing(message);
    this.#asks.push(message);
    if (this.#asks.length > 1) return;
    this.#cancel = this.#clock.after(NAMED_WITHIN_MS, () => {
      for (const ask of this.#take()) this.#nothing(ask);
    });
  }

  /** The link has closed. */
  stop(): void {
    this.#take();
  }

  #take(): Ask[] {
    this.#cancel();
    return this.#asks.splice(0);
  }
}
